"""Expansion of a protocol into runs, and a run's identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import Field

from mmbench.errors import ProtocolError
from mmbench.protocol.recipes import changed_training
from mmbench.protocol.schema import Backbone, MethodEntry, Protocol, Selection, Strict, Training
from mmbench.protocol.specs import DomainDigest, identify
from mmbench.protocol.tuning import Trial
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Budget, Stream, Task
from mmbench.randomness import derive_seed


class TrainedAs(Strict):
    """A method, with all its hyper-parameters, whose training another one shares."""

    method: str
    hyperparameters: dict[str, Any]


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
    search: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What each hyper-parameter may be tuned over, as :func:`mmbench.protocol.search.search_space` says."""
    published: dict[str, Any] = Field(default_factory=dict)
    """Settings of training in its publication."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of training that are the method itself."""
    family: str = ""
    """The methods that it belongs to."""
    trained_as: TrainedAs | None = None
    """The method whose weights it takes over, where it differs only when it predicts."""
    transductive: bool = False
    """Whether it adapts to the images that it predicts."""
    source_digest: str = ""
    """sha256 of the method's source and what it imports; recorded, not part of a run's identity."""
    distribution: str = ""
    """Name and version of the installed distribution that the method comes from; empty for none."""


class RunSpec(Strict):
    """One training run: a method, its label budgets, a labelled subset and a seed."""

    label: str
    """The row's name in tables; not part of the identity."""
    method: str
    hyperparameters: dict[str, Any]
    budgets: dict[Task, Budget]
    """Only the tasks that the method learns."""
    paired_budgets: dict[Task, Budget]
    """The protocol's pair of budgets that these are of, the first one where several are."""
    subset: int
    """Which labelled subset of the source, from 0."""
    seed: int
    protocol_seed: int
    backbone: Backbone
    image_size: int
    training: Training
    selection: Selection
    sources: dict[Task, DomainDigest]
    selected_on: dict[Task, list[DomainDigest]] = Field(default_factory=dict)
    """The domains that weights are chosen on; empty unless the selection rule is ``oracle``."""
    target_images: dict[Task, list[DomainDigest]] = Field(default_factory=dict)
    """The targets whose training parts it sees, without labels; empty unless the method asks for them."""
    trained_as: TrainedAs | None = None
    """The method whose training this one shares; not part of the identity, which has its own."""
    trial: Trial | None = Field(default=None, exclude_if=lambda value: value is None)
    """What makes it a trial of tuning; None for a run that is evaluated."""
    tuned: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether the protocol tunes its hyper-parameters."""

    @cached_property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of everything that can change the weights.

        The names of row and domains are left out, and so is everything that only predictions or scores
        depend on.
        """
        content = self.model_dump(
            mode="json", exclude={"label", "sources", "selected_on", "target_images", "trained_as"}
        )
        training, backbone = content["training"], content["backbone"]
        if self.trial is not None:
            del content["trial"]["number"]
        # Where a file lies changes nothing, what is in it does.
        del backbone["trained_on"]
        if self.backbone.file is not None:
            del backbone["pretrained"]
        if not self.backbone.digest:
            del backbone["digest"]
        if self.training.stop is None and self.training.swad is None and self.trial is None:
            del training["validations"]
        # What later versions added is left out where it has no effect, so that no result is made again.
        if self.training.clip is None:
            del training["clip"]
        if self.training.schedule.name != "poly":
            del training["schedule"]["power"]
        if self.training.unlabeled_ratio == 1:
            del training["unlabeled_ratio"]
        for average in ("swa", "swad"):
            if training[average] is None:
                del training[average]
        # A run sees the source's training and validation parts: data and split, not the evaluated part.
        content["sources"] = {task.value: [d.data, d.split] for task, d in self.sources.items()}
        content["selected_on"] = {
            task.value: [domain.identity() for domain in domains]
            for task, domains in self.selected_on.items()
        }
        if self.target_images:
            content["target_images"] = {
                task.value: [[domain.data, domain.split] for domain in domains]
                for task, domains in self.target_images.items()
            }
        return identify(content)

    @cached_property
    def shared_id(self) -> str | None:
        """The id of the run whose weights are this one's, too; None where there is none."""
        if self.trained_as is None:
            return None
        return RunSpec.model_validate(
            {**self.model_dump(), **self.trained_as.model_dump(), "trained_as": None}
        ).id

    @cached_property
    def root_seed(self) -> int:
        """The root of everything random in the training: initial weights, batch order, augmentation.

        Runs of one seed and one pair of budgets share it, whatever their method; other budgets are
        independent.
        """
        pair = (f"{task.value}={self.paired_budgets.get(task)}" for task in Task)
        return derive_seed(self.protocol_seed, "run", self.seed, *pair)

    @property
    def tasks(self) -> list[Task]:
        """The tasks that it learns."""
        return list(self.budgets)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it learns."""
        source = self.sources.get(Task.CLASSIFICATION)
        return CLASS_NAMES if source is None else source.classes

    @property
    def structures(self) -> tuple[str, ...]:
        """The structures that it learns."""
        source = self.sources.get(Task.SEGMENTATION)
        return STRUCTURE_NAMES if source is None else source.structures

    def describe(self) -> str:
        """Return the run in a few words, for status lines."""
        budgets = " ".join(f"{task.value[:3]}={budget}" for task, budget in self.budgets.items())
        if self.trial is not None:
            return f"{self.label} {budgets} trial={self.trial.number}"
        return f"{self.label} {budgets} subset={self.subset} seed={self.seed}"


def expand(
    protocol: Protocol,
    methods: Sequence[tuple[MethodEntry, MethodSummary]],
    domains: Mapping[Task, Sequence[DomainDigest]],
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
    domains : mapping from task to digests
        The evaluated domains of each task; the first is the source's own test part.

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
        for budgets, pair in _budgets(protocol, tasks):
            for subset in protocol.subset_numbers:
                for seed in protocol.seeds_of(subset) if summary.seeded else [0]:
                    run = _run(protocol, entry, summary, budgets, pair, subset, seed, domains)
                    known = runs.setdefault(run.id, run)
                    if known.label != run.label:
                        raise ProtocolError(
                            f"methods: {known.label!r} and {run.label!r} are the same method with the same "
                            "hyper-parameters; remove one of them"
                        )
    return list(runs.values())


def training_of(protocol: Protocol, summary: MethodSummary) -> Training:
    """Return how a row is trained: as the protocol says, but for what is the method's own.

    That is what its class says of every training, and what was published where the protocol allows that.

    Raises
    ------
    ProtocolError
        If the two do not go together.
    """
    published = summary.published if protocol.recipe == "published" else {}
    if not (own := {**published, **summary.training}):
        return protocol.training
    try:
        found = changed_training(protocol.training, own)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ProtocolError(f"{summary.method}'s own settings do not fit: {reason}", ("training",)) from None
    if found.swad is not None and protocol.selection.rule != "last":
        raise ProtocolError(
            f"{summary.method} is trained with swad, which chooses the steps whose weights are evaluated; "
            "write last",
            ("selection", "rule"),
        )
    return found


def seen_targets(domains: Sequence[DomainDigest]) -> list[DomainDigest]:
    """Return the targets that have a training part: those that are not tested as a whole."""
    return [domain for domain in domains if not domain.in_domain and domain.part == "test"]


def _budgets(
    protocol: Protocol, tasks: Sequence[Task]
) -> list[tuple[dict[Task, Budget], dict[Task, Budget]]]:
    """Return each choice of budgets of some tasks once, with the first pair that it is of.

    Pairs that leave one of the tasks out are left out.
    """
    found: dict[tuple[Budget, ...], dict[Task, Budget]] = {}
    for pair in protocol.budgets.combinations():
        whole = {task: budget for task in Task if (budget := pair.of(task)) is not None}
        if whole.keys() >= set(tasks):
            found.setdefault(tuple(whole[task] for task in tasks), whole)
    return [(dict(zip(tasks, budgets, strict=True)), pair) for budgets, pair in found.items()]


def _run(
    protocol: Protocol,
    entry: MethodEntry,
    summary: MethodSummary,
    budgets: dict[Task, Budget],
    pair: dict[Task, Budget],
    subset: int,
    seed: int,
    domains: Mapping[Task, Sequence[DomainDigest]],
) -> RunSpec:
    oracle = protocol.selection.rule == "oracle" and not summary.trivial
    return RunSpec(
        label=entry.label,
        method=summary.method,
        hyperparameters=summary.hyperparameters,
        budgets=budgets,
        paired_budgets=pair,
        subset=subset,
        seed=seed,
        protocol_seed=protocol.seed,
        backbone=protocol.backbone_of(entry),
        image_size=protocol.image_size,
        training=training_of(protocol, summary),
        selection=protocol.selection,
        sources={task: domains[task][0] for task in budgets},
        selected_on={task: list(domains[task]) for task in budgets} if oracle else {},
        target_images={
            stream.task: seen_targets(domains[stream.task])
            for stream in sorted(summary.streams)
            if stream.target and stream.task in budgets
        },
        trained_as=summary.trained_as,
        # Told apart from a row that is not tuned, also where the defaults turn out to be the best.
        tuned=protocol.tune is not None and entry.tune and not summary.trivial,
    )
