"""The one place where analysis and report read a results folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.store.frames import load_results, scores, summaries
from mmbench.store.provenance import Mixture, mixtures, refuse_mixtures
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class RunFacts:
    """What a finished run's record says beside its scores.

    Attributes
    ----------
    seconds : mapping of str to float
        Wall-clock time by phase.
    peak_memory_mb, selected_step : float
        NaN where they are not known.
    parameters : int
        Number of weights.
    environment : mapping
        Machine and versions, JSON values.
    created : str
        UTC, ISO 8601.
    """

    seconds: Mapping[str, float]
    peak_memory_mb: float
    parameters: int
    selected_step: float
    environment: Mapping[str, Any]
    created: str


@dataclass(frozen=True)
class Results:
    """What a results folder holds of its plan; frames are read when they are asked for.

    Attributes
    ----------
    root : Path
        The folder ``results/<protocol>``.
    protocol : Protocol
        What was asked for.
    runs : tuple of RunSpec
        Every planned run.
    report : mapping
        What the plan found out about the data: ``leaks``, ``notes``, ``case_counts``, ``part_counts``.
    trivial : frozenset of str
        The rows that are constant predictors.
    planned_at : str
        When the plan was made: UTC, ISO 8601.
    finished, failed : frozenset of str
        Ids of planned runs that have a record, and of any that ended with an error.
    plan : mapping
        The whole plan but for the time it was made, JSON values.
    """

    root: Path
    protocol: Protocol
    runs: tuple[RunSpec, ...]
    report: Mapping[str, Any]
    trivial: frozenset[str]
    planned_at: str
    finished: frozenset[str]
    failed: frozenset[str]
    plan: Mapping[str, Any] = field(repr=False)
    _store: ResultStore = field(repr=False)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Every per-case score, as :func:`mmbench.store.frames.load_results` makes it."""
        return load_results(self.root)

    def scores_of(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return the per-case scores of some finished runs."""
        found = scores(self._store, ids)
        assert found is not None, "only finished runs have scores"
        return found

    @cached_property
    def summaries(self) -> pd.DataFrame:
        """One number per run, domain and metric, as :func:`mmbench.store.frames.summaries` makes it."""
        return summaries(self._store)

    @cached_property
    def facts(self) -> dict[str, RunFacts]:
        """Time, memory and environment of each finished run, by id."""
        return {run.id: _facts(self._store.content(run.id)) for run in self.runs if run.id in self.finished}

    @property
    def case_counts(self) -> Any:
        """Test cases as the plan counted them, JSON values; None where it did not."""
        return self.report.get("case_counts")

    def test_share(self, task: Task) -> float | None:
        """Return test cases per training case of a task's source; None where the plan does not say."""
        counts = self.report.get("part_counts", {}).get(task.value)
        return counts["test"] / counts["train"] if counts and counts["train"] else None

    def masks(self, id: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return a run's predicted masks (floor(65536 p)) and reference masks by domain, if kept."""
        return self._store.masks(id)

    @cached_property
    def mixtures(self) -> tuple[Mixture, ...]:
        """What differs between the makings of finished runs."""
        return tuple(mixtures(self.makings(run.id for run in self.runs if run.id in self.finished)))

    def makings(self, ids: Iterable[str]) -> list[Mapping[str, Any]]:
        """Return what made some finished runs, as :func:`mmbench.store.provenance.mixtures` compares it."""
        return [self._store.content(id) for id in ids]

    def refuse(self, found: Iterable[Mixture]) -> None:
        """Refuse to put records together that were made differently.

        Raises
        ------
        StoreError
            Naming what differs, if anything does.
        """
        refuse_mixtures(self._store, found)

    def digests(self) -> dict[str, Any]:
        """Return what changes when anything that is read here changes; every record's scores are checked.

        Raises
        ------
        StoreError
            If a record is damaged.
        """
        return {
            "plan": self.plan,
            "records": {run.id: self._store.digest(run.id) for run in self.runs if run.id in self.finished},
            "failed": sorted(self.failed),
        }

    @property
    def records_folder(self) -> Path:
        """Where the runs' records lie."""
        return self._store.runs_folder


def read_results(folder: Path) -> Results:
    """Read a results folder's plan and what is there of it.

    Parameters
    ----------
    folder : Path
        The folder ``results/<protocol>``.

    Raises
    ------
    StoreError
        If there is no plan, or it or a failure is damaged.
    """
    store = ResultStore(Path(folder))
    plan = store.load_plan()
    return Results(
        root=store.root,
        protocol=plan.protocol,
        runs=tuple(plan.runs),
        report=plan.report,
        trivial=frozenset(plan.report.get("trivial_baselines", plan.protocol.trivial_baselines)),
        planned_at=plan.created,
        finished=frozenset(store.finished() & {run.id for run in plan.runs}),
        failed=frozenset(store.failed()),
        plan=plan.model_dump(mode="json", exclude={"created", "digest"}),
        _store=store,
    )


def has_results(folder: Path) -> bool:
    """Whether a folder is a results folder."""
    return ResultStore(folder).has_plan()


def _facts(content: Mapping[str, Any]) -> RunFacts:
    return RunFacts(
        seconds=content["seconds"],
        peak_memory_mb=_number(content["peak_memory_mb"]),
        parameters=int(content["parameters"]),
        selected_step=_number(content["selected_step"]),
        environment=content["environment"],
        created=content["created"],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
