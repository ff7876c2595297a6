"""From a protocol to what will be done: names resolved, data loaded, leaks looked for, runs listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd

from mmbench.data.catalogue import load_dataset
from mmbench.data.dataset import Dataset
from mmbench.data.leaks import LeakReport, check_leaks, protocol_parts
from mmbench.errors import Location, ProtocolError, located, suggestion
from mmbench.methods.base import Problem
from mmbench.planning.subset_table import split_table
from mmbench.plugins.discovery import discover
from mmbench.plugins.registry import Registry
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.runs import DomainDigest, MethodSummary, RunSpec, expand
from mmbench.protocol.schema import DatasetChoice, MethodEntry, Protocol
from mmbench.protocol.vocabulary import Budget, Task


@dataclass
class Plan:
    """What a protocol comes to on the data at hand.

    Attributes
    ----------
    protocol : Protocol
        As loaded.
    runs : list of RunSpec
        Everything to train and evaluate, trivial baselines included.
    methods : dict of str to MethodSummary
        Each row's method, by label.
    leaks : LeakReport
        Counts of shared patients and images between the parts.
    notes : list of str
        Facts about the data and the expansion that a reader of the results should know.
    case_counts : dict of str to int
        Evaluated cases by ``"<task> <domain>"``.
    part_counts : dict of str to dict
        Cases of each part of a task's source.
    validated : dict of Task to int
        Cases that each look of the selection rule costs.
    splits : DataFrame, optional
        See :func:`mmbench.planning.subset_table.split_table`.
    sources : dict of Task to Dataset
        What is trained on.
    """

    protocol: Protocol
    runs: list[RunSpec]
    methods: dict[str, MethodSummary]
    leaks: LeakReport
    notes: list[str] = field(default_factory=list)
    case_counts: dict[str, int] = field(default_factory=dict)
    part_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    validated: dict[Task, int] = field(default_factory=dict)
    splits: pd.DataFrame | None = None
    sources: dict[Task, Dataset] = field(default_factory=dict)


def make_plan(
    protocol: Protocol,
    *,
    data_root: Path | None = None,
    plugins: Iterable[Path] = (),
    on_dataset: Callable[[str], None] = lambda name: None,
) -> Plan:
    """Resolve a protocol.

    Parameters
    ----------
    protocol : Protocol
        What to run.
    data_root : Path, optional
        Where real data lie.
    plugins : iterable of Path
        Plugin files named by the user.
    on_dataset : callable
        Told each dataset's name before it is loaded (the first time may decode or generate images).

    Raises
    ------
    ProtocolError
        If a method, a hyper-parameter or a budget does not fit.
    DataError
        If a dataset is unknown or cannot be read.
    LeakError
        If parts share patients or images and the protocol does not acknowledge it.
    """
    # A long-lived process plans from what is there now; the caches serve the workers.
    _dataset.cache_clear()
    _check_metrics(protocol)
    registry = discover(plugins)
    methods, skipped = _runnable(resolve_methods(protocol, registry), registry, protocol)
    if protocol.backbone.name != "paper_unet":
        from mmbench.networks.build import check_backbone

        with located("backbone"):
            check_backbone(protocol.backbone, protocol.image_size)
    sources: dict[Task, Dataset] = {}
    targets: dict[Task, list[Dataset]] = {}
    for task in protocol.tasks:
        on_dataset(source_choice(protocol, task).dataset)
        with located("sources", task.value):
            sources[task] = cached_dataset(source_choice(protocol, task), protocol, data_root)
        _check_source(protocol, task, sources[task])
        targets[task] = []
        for index, choice in enumerate(target_choices(protocol, task)):
            on_dataset(choice.dataset)
            with located("targets", task.value, index):
                targets[task].append(cached_dataset(choice, protocol, data_root))
                if not len(targets[task][-1].rows(choice.part, task)):
                    raise ProtocolError(f"{choice.dataset} has no cases for {task.value}")
    evaluated = {
        task: list(zip(domains, (choice.part for choice in target_choices(protocol, task)), strict=True))
        for task, domains in targets.items()
    }
    leaks = check_leaks(protocol_parts(sources, evaluated), protocol.acknowledged_leaks)
    digests = {task: _digest(dataset, "test") for task, dataset in sources.items()}
    target_digests = {
        task: [digests[task], *(_digest(dataset, part) for dataset, part in domains)]
        for task, domains in evaluated.items()
    }
    runs = expand(protocol, methods, digests, target_digests)
    notes = (
        [note for dataset in _unique(sources, targets) for note in dataset.notes] + leaks.notes() + skipped
    )
    covered = {run.label for run in runs}
    left_out = [
        f"{entry.label} is left out: it learns {' and '.join(sorted(summary.tasks))}, and the protocol has "
        "no source or no budget for that"
        for entry, summary in methods
        if entry.label not in covered and not summary.trivial
    ]
    if not covered & {entry.label for entry in protocol.methods}:
        why = [*left_out, *skipped]
        raise ProtocolError(f"no method can be trained: {why[0]}", at=("methods",))
    notes += left_out
    counts = {}
    for task, source in sources.items():
        counts[f"{task.value} {source.domain}"] = len(source.rows("test", task))
        for dataset, part in evaluated[task]:
            counts[f"{task.value} {dataset.domain}"] = len(dataset.rows(part, task))
    return Plan(
        protocol=protocol,
        runs=runs,
        methods={entry.label: summary for entry, summary in methods},
        leaks=leaks,
        notes=notes,
        case_counts=counts,
        part_counts={
            task.value: {part: len(source.rows(part, task)) for part in ("train", "validation", "test")}
            for task, source in sources.items()
        },
        validated={task: _looked_at(protocol, task, source, counts) for task, source in sources.items()},
        splits=split_table(sources, seed=protocol.seed, subsets=protocol.subsets),
        sources=sources,
    )


def resolve_methods(protocol: Protocol, registry: Registry) -> list[tuple[MethodEntry, MethodSummary]]:
    """Return the protocol's rows, then its trivial baselines that are not rows already."""
    rows = []
    for index, entry in enumerate(protocol.methods):
        with located("methods", index):
            rows.append((entry, registry.resolve(entry)))
    listed = {entry.method for entry in protocol.methods}
    for index, name in enumerate(protocol.trivial_baselines):
        if name not in listed:
            with located("trivial_baselines", index):
                rows.append((entry := MethodEntry(method=name), registry.resolve(entry)))
    return rows


def _runnable(
    rows: list[tuple[MethodEntry, MethodSummary]], registry: Registry, protocol: Protocol
) -> tuple[list[tuple[MethodEntry, MethodSummary]], list[str]]:
    """Return the rows whose method does not ask to be skipped, and why the others do."""
    kept, notes = [], []
    for entry, summary in rows:
        problem = Problem(summary.tasks, protocol.backbone, protocol.image_size)
        reason = registry.get(entry.method).cls.skip(problem)
        if reason is None:
            kept.append((entry, summary))
        else:
            notes.append(f"{entry.label} is skipped: {' '.join(str(reason).split())}")
    return kept, notes


def source_choice(protocol: Protocol, task: Task) -> DatasetChoice:
    """Return the dataset trained on for a task."""
    choice: DatasetChoice | None = protocol.sources.of(task)
    assert choice is not None
    return choice


def target_choices(protocol: Protocol, task: Task) -> list[DatasetChoice]:
    """Return the cross-domain datasets of a task."""
    choices: list[DatasetChoice] = protocol.targets.of(task)
    return choices


def cached_dataset(choice: DatasetChoice, protocol: Protocol, data_root: Path | None) -> Dataset:
    """Return a dataset as the protocol sees it, loaded once per process."""
    return _dataset(choice.model_dump_json(), protocol.image_size, protocol.seed, data_root)


@lru_cache(maxsize=64)
def _dataset(choice: str, image_size: int, seed: int, data_root: Path | None) -> Dataset:
    return load_dataset(
        DatasetChoice.model_validate_json(choice), image_size=image_size, seed=seed, data_root=data_root
    )


@lru_cache(maxsize=8)
def cached_registry(plugins: tuple[Path, ...]) -> Registry:
    """Return the methods found, discovered once per process."""
    return discover(plugins)


def _unique(sources: dict[Task, Dataset], targets: dict[Task, list[Dataset]]) -> list[Dataset]:
    """Return each dataset once, sources first."""
    every = [*sources.values(), *(dataset for domains in targets.values() for dataset in domains)]
    return list({(dataset.name, dataset.data_digest): dataset for dataset in every}.values())


def _digest(dataset: Dataset, part: str) -> DomainDigest:
    return DomainDigest(
        domain=dataset.domain, data=dataset.data_digest, split=dataset.split_digest, part=part
    )


def _looked_at(protocol: Protocol, task: Task, source: Dataset, counts: dict[str, int]) -> int:
    if protocol.selection.rule == "oracle":
        return sum(count for part, count in counts.items() if part.split()[0] == task.value)
    return len(source.rows("validation", task))


def _check_metrics(protocol: Protocol) -> None:
    for index, name in enumerate(protocol.statistics.metrics):
        if name not in METRICS:
            raise ProtocolError(
                f"there is no metric {name!r}; {suggestion(name, METRICS)}",
                at=("statistics", "metrics", index),
            )


def _check_source(protocol: Protocol, task: Task, dataset: Dataset) -> None:
    size = len(dataset.rows("train", task))
    for budget in protocol.budgets.of(task):
        if budget != "full" and budget > size:
            raise ProtocolError(
                f"{task.value} budget {budget} is larger than the {size} labelled training cases of "
                f"{dataset.domain}; use at most {size}, or full",
                at=_budget_location(protocol, task, budget),
            )
    if not len(dataset.rows("test", task)):
        raise ProtocolError(
            f"{dataset.domain} has no test cases for {task.value}", at=("sources", task.value)
        )
    if protocol.selection.rule == "source_val" and not len(dataset.rows("validation", task)):
        raise ProtocolError(
            f"source_val needs validation cases, but {dataset.domain} has none for {task.value}; give it a "
            "split, or use last",
            at=("selection",),
        )
    if protocol.selection.rule == "source_val" and task is Task.CLASSIFICATION:
        rows = dataset.rows("validation", task)
        if dataset.cases["label"].iloc[rows].nunique() < 2:
            raise ProtocolError(
                f"source_val needs both classes, but the validation part of {dataset.domain} has one; "
                "give it a split, or use last",
                at=("selection",),
            )


def _budget_location(protocol: Protocol, task: Task, budget: Budget) -> Location:
    if protocol.budgets.grid is not None:
        values: list[Budget] = protocol.budgets.grid.of(task)
        return ("budgets", "grid", task.value, values.index(budget))
    pairs = protocol.budgets.pairs or []
    index = next(i for i, pair in enumerate(pairs) if pair.of(task) == budget)
    return ("budgets", "pairs", index, task.value)
