"""Expansion of a protocol into runs, and a run's identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from mmbench.errors import ProtocolError
from mmbench.files import digest_json
from mmbench.protocol.schema import Backbone, MethodEntry, MetricPolicy, Protocol, Selection, Strict, Training
from mmbench.protocol.vocabulary import Budget, Stream, Task


class MethodSummary(Strict):
    """What the expansion needs to know of a method; the plugin registry makes it."""

    method: str
    tasks: frozenset[Task]
    streams: frozenset[Stream]
    seeded: bool = True
    """False when nothing of the method depends on the training seed (constant predictors)."""
    trivial: bool = False
    """True for constant predictors, which have no weights to train."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """Every hyper-parameter, defaults included."""
    source_digest: str = ""
    """sha256 of the files of the method's classes; recorded beside a run, not part of its identity."""


class DomainDigest(Strict):
    """A domain as a run's identity sees it: what its images and parts are, not where they lie."""

    domain: str
    data: str
    """sha256 of the decoded images, masks, labels and patient ids."""
    split: str
    """sha256 of the assignment of cases to parts."""
    part: str = "test"


class RunSpec(Strict):
    """One training: a method, its label budgets, a labelled subset and a seed, evaluated on every target."""

    label: str
    """The row's name in tables; not part of the identity."""
    method: str
    hyperparameters: dict[str, Any]
    budgets: dict[Task, Budget]
    """Only the tasks that the method learns."""
    subset: int
    seed: int
    protocol_seed: int
    backbone: Backbone
    image_size: int
    training: Training
    selection: Selection
    evaluation: MetricPolicy
    sources: dict[Task, DomainDigest]
    targets: dict[Task, list[DomainDigest]]

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of everything that can change the scores."""
        content = self.model_dump(mode="json", exclude={"label"})
        if not self.training.compile:  # younger than records that are still good
            del content["training"]["compile"]
        return digest_json(content)[:16]

    def describe(self) -> str:
        """Return the run in a few words, for status lines."""
        budgets = " ".join(f"{task.value[:3]}={budget}" for task, budget in self.budgets.items())
        return f"{self.label} {budgets} subset={self.subset} seed={self.seed}"


def expand(
    protocol: Protocol,
    methods: Sequence[tuple[MethodEntry, MethodSummary]],
    sources: Mapping[Task, DomainDigest],
    targets: Mapping[Task, Sequence[DomainDigest]],
) -> list[RunSpec]:
    """Return every run of a protocol, each once.

    A method that learns one task gets one run per budget of that task, whatever the other task's
    budgets are; one that learns a task without a source gets none. A method that is not ``seeded`` gets
    the first seed only.

    Parameters
    ----------
    protocol : Protocol
        What to expand.
    methods : sequence of (MethodEntry, MethodSummary)
        The rows, trivial baselines included, with their resolved hyper-parameters.
    sources, targets : mapping from task to digests
        The data; a source's own test part is among the targets of its task.

    Raises
    ------
    ProtocolError
        If two rows of different names are the same training.
    """
    runs: dict[str, RunSpec] = {}
    for entry, summary in methods:
        if not summary.tasks <= set(protocol.tasks):
            continue
        tasks = [task for task in protocol.tasks if task in summary.tasks]
        budgets = [{task: pair.of(task) for task in tasks} for pair in protocol.budgets.combinations()]
        for budget in budgets:
            if None in budget.values():
                continue
            for subset in range(protocol.subsets):
                for seed in range(protocol.seeds if summary.seeded else 1):
                    run = RunSpec(
                        label=entry.label,
                        method=summary.method,
                        hyperparameters=summary.hyperparameters,
                        budgets=budget,
                        subset=subset,
                        seed=seed,
                        protocol_seed=protocol.seed,
                        backbone=protocol.backbone,
                        image_size=protocol.image_size,
                        training=protocol.training,
                        selection=protocol.selection,
                        evaluation=protocol.evaluation,
                        sources={task: sources[task] for task in tasks},
                        targets={task: list(targets[task]) for task in tasks},
                    )
                    known = runs.setdefault(run.id, run)
                    if known.label != run.label:
                        raise ProtocolError(
                            f"methods: {known.label!r} and {run.label!r} are the same method with the same "
                            "hyper-parameters; remove one of them"
                        )
    return list(runs.values())
