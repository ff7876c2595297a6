"""The data of a protocol: loaded once per process, checked against what the protocol asks of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmbench.data.dataset import PARTS, Dataset
from mmbench.data.leaks import LeakReport, check_leaks, protocol_parts, uncompared_patients
from mmbench.data.loaded import cached_dataset
from mmbench.errors import LeakError, Location, ProtocolError, located
from mmbench.protocol.schema import Protocol
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Budget, Task
from mmbench.stats.blocks import effective_patients

BACKBONE = "backbone"
"""What acknowledged leaks call the weights that a backbone starts from."""


@dataclass(frozen=True)
class ProtocolData:
    """The data sets of a protocol.

    Attributes
    ----------
    sources : mapping from Task to Dataset
        What is trained on.
    targets : mapping from Task to list of (Dataset, part)
        The cross-domain data and the part of each that is evaluated.
    """

    sources: Mapping[Task, Dataset]
    targets: Mapping[Task, list[tuple[Dataset, str]]]

    @property
    def digests(self) -> dict[Task, list[DomainDigest]]:
        """The evaluated domains of each task, the source's test part first."""
        return {
            task: [
                _digest(source, "test", in_domain=True),
                *(_digest(dataset, part, in_domain=False) for dataset, part in self.targets[task]),
            ]
            for task, source in self.sources.items()
        }

    @property
    def cases(self) -> dict[Task, dict[str, int]]:
        """Evaluated cases by task and domain."""
        return {
            task: {
                source.domain: len(source.rows("test", task)),
                **{dataset.domain: len(dataset.rows(part, task)) for dataset, part in self.targets[task]},
            }
            for task, source in self.sources.items()
        }

    @property
    def patients(self) -> dict[Task, dict[str, float]]:
        """The effective number of patients evaluated, of the rarest class where there are classes."""
        return {
            task: {
                dataset.domain: _effective(dataset, part, task)
                for dataset, part in ((source, "test"), *self.targets[task])
            }
            for task, source in self.sources.items()
        }

    @property
    def parts(self) -> dict[Task, dict[str, int]]:
        """Cases of each part of a task's source."""
        return {
            task: {part: len(source.rows(part, task)) for part in PARTS}
            for task, source in self.sources.items()
        }

    @property
    def notes(self) -> list[str]:
        """What is known of each data set, once."""
        every = [*self.sources.values(), *(dataset for own in self.targets.values() for dataset, _ in own)]
        unique = {(dataset.name, dataset.data_digest): dataset for dataset in every}
        own = [note for dataset in unique.values() for note in dataset.notes]
        return [*own, *uncompared_patients(list(unique.values()))]

    def leaks(self, protocol: Protocol, seen: Collection[Task] = ()) -> LeakReport:
        """Compare patients and images of every pair of parts.

        Parameters
        ----------
        protocol : Protocol
            Says what is acknowledged.
        seen : collection of Task
            The tasks of which a method is trained with the targets' training parts.

        Raises
        ------
        LeakError
            If parts share patients or images and the protocol does not acknowledge it.
        ProtocolError
            If such a training part is empty.
        """
        for task in seen:
            for index, (dataset, part) in enumerate(self.targets[task]):
                if part == "test" and not len(dataset.part_rows("train")):
                    raise ProtocolError(
                        f"{dataset.domain} has no training part that a method could see; give it a split, or "
                        "remove the methods that learn from target images",
                        at=("targets", task.value, index),
                    )
        known = [pair for pair in protocol.acknowledged_leaks if BACKBONE not in pair]
        self._check_backbones(protocol)
        return check_leaks(protocol_parts(self.sources, self.targets, seen), known)

    def _check_backbones(self, protocol: Protocol) -> None:
        """Refuse to test on what a backbone's weights were trained on, unless the protocol says so."""
        known = {name for pair in protocol.acknowledged_leaks if BACKBONE in pair for name in pair}
        trained = {name for backbone in protocol.backbones.values() for name in backbone.trained_on}
        for task, source in self.sources.items():
            for dataset, part in ((source, "test"), *self.targets[task]):
                name = f"{dataset.domain}:{part}"
                if dataset.name in trained and name not in known:
                    raise LeakError(
                        f"leak: a backbone was trained on {dataset.name}, and {name} is tested - "
                        f"to run anyway, set 'acknowledged_leaks: [[{BACKBONE}, {name}]]'"
                    )

    def weights_notes(self, protocol: Protocol) -> list[str]:
        """Return what the backbones' weights were trained on, and which tests that touches."""
        undeclared = "nothing that the protocol declares (backbone: trained_on)"
        starts = [
            f"{backbone.name} starts from weights trained on {', '.join(backbone.trained_on) or undeclared}"
            for backbone in protocol.backbones.values()
            if backbone.pretrained
        ]
        leaks = [pair for pair in protocol.acknowledged_leaks if BACKBONE in pair] if starts else []
        return [
            *dict.fromkeys(starts),
            *(f"leak (acknowledged): {' and '.join(pair)}: trained on what is tested" for pair in leaks),
        ]


def load_data(protocol: Protocol, data_root: Path | None, on_dataset: Callable[[str], None]) -> ProtocolData:
    """Load every data set of a protocol and check that it offers what is asked of it.

    Raises
    ------
    ProtocolError
        If a budget, a part or the selection rule does not fit the data.
    DataError
        If a data set is unknown or cannot be read.
    """
    sources: dict[Task, Dataset] = {}
    targets: dict[Task, list[tuple[Dataset, str]]] = {}
    for task in protocol.tasks:
        choice = protocol.sources.of(task)
        on_dataset(choice.dataset)
        with located("sources", task.value):
            sources[task] = cached_dataset(choice, protocol, task, data_root)
        _check_source(protocol, task, sources[task])
        targets[task] = []
        for index, choice in enumerate(protocol.targets.of(task)):
            on_dataset(choice.dataset)
            with located("targets", task.value, index):
                dataset = cached_dataset(choice, protocol, task, data_root)
                if not len(dataset.rows(choice.part, task)):
                    raise ProtocolError(_why_none(dataset, choice.part, task))
            targets[task].append((dataset, choice.part))
    return ProtocolData(sources, targets)


def _effective(dataset: Dataset, part: str, task: Task) -> float:
    cases = dataset.cases.iloc[dataset.rows(part, task)]
    labels = cases["label"].to_numpy(dtype=int) if task is Task.CLASSIFICATION else None
    return effective_patients(pd.factorize(cases["patient_id"])[0], labels)


def _digest(dataset: Dataset, part: str, *, in_domain: bool) -> DomainDigest:
    return DomainDigest(
        domain=dataset.domain,
        data=dataset.data_digest,
        split=dataset.split_digest,
        part=part,
        in_domain=in_domain,
        classes=dataset.classes,
        structures=dataset.structures,
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
        raise ProtocolError(_why_none(dataset, "test", task), at=("sources", task.value))
    if protocol.selection.rule == "source_val":
        _check_validation(task, dataset, "source_val", "use last", ("selection",))
    if protocol.training.stop is not None:
        _check_validation(task, dataset, "stop", "leave stop out", ("training", "stop"))


def _why_none(dataset: Dataset, part: str, task: Task) -> str:
    """Say why a part of a data set has nothing to test a task on."""
    what = "label" if task is Task.CLASSIFICATION else "mask"
    if not len(dataset.rows("all", task)):
        return f"no case of {dataset.domain} has a {what}; give it some, or leave {task.value} out"
    sizes = ", ".join(f"{len(dataset.rows(name, task))} {name}" for name in PARTS)
    return (
        f"the {part} part of {dataset.domain} has no case with a {what} ({sizes}); give it a split, or "
        "complete the data set"
    )


def _check_validation(task: Task, dataset: Dataset, what: str, otherwise: str, at: Location) -> None:
    rows = dataset.rows("validation", task)
    if not len(rows):
        raise ProtocolError(
            f"{what} needs validation cases, but {dataset.domain} has none for {task.value}; give it a "
            f"split, or {otherwise}",
            at=at,
        )
    present = dataset.cases["label"].iloc[rows].nunique()
    if task is Task.CLASSIFICATION and present < len(dataset.classes):
        raise ProtocolError(
            f"{what} needs every class, but the validation part of {dataset.domain} has {present} of "
            f"{len(dataset.classes)}; "
            f"give it a split, or {otherwise}",
            at=at,
        )


def _budget_location(protocol: Protocol, task: Task, budget: Budget) -> Location:
    if protocol.budgets.grid is not None:
        return ("budgets", "grid", task.value, protocol.budgets.grid.of(task).index(budget))
    pairs = protocol.budgets.pairs or []
    index = next(i for i, pair in enumerate(pairs) if pair.of(task) == budget)
    return ("budgets", "pairs", index, task.value)
