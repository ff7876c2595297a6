"""The one place where analysis and report read a results folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import StoreError
from mmbench.files import digest_json
from mmbench.protocol.metrics import declare_stored
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import MetricPolicy, Protocol
from mmbench.protocol.specs import ScoresSpec, scores_of
from mmbench.protocol.vocabulary import Task
from mmbench.store.frames import available_scores, score_frame, summaries
from mmbench.store.layer import Layer
from mmbench.store.looks import Looks, read_looks
from mmbench.store.mixtures import Making, Mixture, making, mixtures, refuse_mixtures
from mmbench.store.records import StoredPlan
from mmbench.store.store import CASES, ResultStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class RunFacts:
    """What the records of a run say beside its scores.

    Attributes
    ----------
    seconds : mapping of str to float
        Wall-clock time: ``load``, ``train``, ``predict``, ``score`` and their sum ``total``.
    peak_memory_mb, selected_step : float
        NaN where they are not known.
    parameters : int
        Number of weights.
    environment : mapping
        Machine and versions, JSON values.
    created : str
        UTC, ISO 8601.
    validation, last_gain : mapping of str to float
        Scores of the sources' validation parts at the end, and what they gained in the last tenth.
    loss_change : float
        The largest relative change of a loss term; NaN where it is not known.
    idle_losses, unmoved : tuple of str
        Loss terms that were 0 at every step, and networks that training did not change.
    """

    seconds: Mapping[str, float]
    peak_memory_mb: float
    parameters: int
    selected_step: float
    environment: Mapping[str, Any]
    created: str
    validation: Mapping[str, float]
    last_gain: Mapping[str, float]
    loss_change: float
    idle_losses: tuple[str, ...]
    unmoved: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """What a results folder holds of its plan; frames are read when they are asked for.

    Attributes
    ----------
    root : Path
        The folder ``results/<protocol>``.
    plan : StoredPlan
        What was asked for.
    available : mapping of str to tuple of ScoresSpec
        The scores that are there, by the id of their run; only runs that have any.
    finished, failed : frozenset of str
        Ids of planned runs that lack no score, and of any whose last attempt ended with an error.
    """

    root: Path
    plan: StoredPlan
    available: Mapping[str, tuple[ScoresSpec, ...]]
    finished: frozenset[str]
    failed: frozenset[str]
    _store: ResultStore = field(repr=False)

    @property
    def protocol(self) -> Protocol:
        """What was asked for."""
        return self.plan.protocol

    @property
    def runs(self) -> tuple[RunSpec, ...]:
        """Every planned run."""
        return tuple(self.plan.runs)

    @property
    def report(self) -> Mapping[str, Any]:
        """What the plan found out about the data: ``leaks``, ``notes``, ``cases``, ``parts``."""
        return self.plan.report

    @cached_property
    def looks(self) -> Looks | None:
        """The looks of a group-sequential run; None where there is none."""
        return read_looks(self._store)

    @property
    def trivial(self) -> frozenset[str]:
        """The rows that are constant predictors."""
        return frozenset(self.plan.trivial)

    @property
    def planned_at(self) -> str:
        """When the plan was made: UTC, ISO 8601."""
        return self.plan.created

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Every per-case score, with the columns of :func:`mmbench.load_scores`."""
        found = score_frame(self._store, self._scores_there())
        if found is None:
            raise StoreError(
                f"{self.root}: holds no score; make it with: mmbench run PROTOCOL --results {self.root}"
            )
        return found

    def scores_of(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return the per-case scores of some runs that have any."""
        found = score_frame(self._store, self._scores_there(ids))
        assert found is not None, "only runs with scores are asked for"
        return found

    @cached_property
    def summaries(self) -> pd.DataFrame:
        """One number per run, domain and metric, as :func:`mmbench.store.frames.summaries` makes it."""
        return summaries(self._store, self._scores_there())

    def _scores_there(self, ids: Sequence[str] | None = None) -> list[tuple[RunSpec, Sequence[ScoresSpec]]]:
        wanted = self.available if ids is None else self.available.keys() & set(ids)
        return [(run, self.available[run.id]) for run in self.runs if run.id in wanted]

    @cached_property
    def facts(self) -> dict[str, RunFacts]:
        """Time, memory and environment of each run that has scores, by id."""
        return {id: self._facts(id, specs) for id, specs in self.available.items()}

    def _facts(self, id: str, specs: Iterable[ScoresSpec]) -> RunFacts:
        content = self._store.runs.content(id)
        seconds = {
            **content["seconds"],
            "predict": sum(self._store.predictions.content(spec.predictions.id)["seconds"] for spec in specs),
            "score": sum(self._store.scores.content(spec.id)["seconds"] for spec in specs),
        }
        created = [self._store.scores.content(spec.id)["created"] for spec in specs]
        return RunFacts(
            seconds={**seconds, "total": sum(seconds.values())},
            peak_memory_mb=_number(content["peak_memory_mb"]),
            parameters=int(content["parameters"]),
            selected_step=_number(content["selected_step"]),
            environment=content["environment"],
            created=max([content["created"], *created]),
            validation={name: _number(value) for name, value in content["validation"].items()},
            last_gain={name: _number(value) for name, value in content["last_gain"].items()},
            loss_change=_number(content["loss_change"]),
            idle_losses=tuple(content.get("idle_losses", ())),
            unmoved=tuple(content.get("unmoved", ())),
        )

    def predicted(self, id: str) -> dict[tuple[Task, str], str]:
        """Return a digest of what a run predicts, by task and domain."""
        found = {}
        for spec in self.available[id]:
            content = self._store.predictions.content(spec.predictions.id)
            found[spec.predictions.task, spec.predictions.domain.domain] = digest_json(content["contents"])
        return found

    def test_share(self, task: Task) -> float | None:
        """Return test cases per training case of a task's source; None where the plan does not say."""
        counts = self.report.get("parts", {}).get(task.value)
        return counts["test"] / counts["train"] if counts and counts["train"] else None

    def masks(self, id: str, domain: str, policy: MetricPolicy) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a run's predicted masks at a policy's threshold, and the reference masks.

        Both are bool of shape (N, structures, S, S); None where what is stored does not give them.
        """
        from mmbench.store.masks import predicted_masks, true_masks
        from mmbench.store.missing import scored_content

        found = [spec.predictions for spec in self.available[id]]
        (wanted,) = (p for p in found if p.task is Task.SEGMENTATION and p.domain.domain == domain)
        (spec,) = scores_of([wanted], policy)
        if scored_content(self._store.predictions.content(wanted.id), spec) is None:
            return None
        return predicted_masks(self._store, spec), true_masks(self._store, wanted)

    @cached_property
    def mixtures(self) -> tuple[Mixture, ...]:
        """What differs between the makings of everything that is shown."""
        return tuple(mixtures(self.makings(self.available)))

    def makings(self, ids: Iterable[str]) -> list[Making]:
        """Return what made the records of some runs that have scores."""
        labels = {run.id: run.label for run in self.runs}
        found = []
        for id in ids:
            found.append(making("run", labels[id], self._store.runs.content(id)))
            for spec in self.available[id]:
                predictions = self._store.predictions.content(spec.predictions.id)
                found.append(making("predictions", labels[id], predictions))
                found.append(making("scores", labels[id], self._store.scores.content(spec.id)))
        return found

    def refuse(self, found: Iterable[Mixture]) -> None:
        """Refuse to put records together that were made differently.

        Raises
        ------
        StoreError
            Naming what differs, if anything does.
        """
        refuse_mixtures(self._store, found)

    def again(self) -> Results:
        """Return what is there now; a record that is as it was is not opened again."""
        return _read(self._store)

    def digests(self) -> dict[str, Any]:
        """Return what changes when anything that is read here changes; every score is checked.

        Raises
        ------
        StoreError
            If a record is damaged.
        """
        store, digests = self._store, dict[str, str]()
        for id, specs in self.available.items():
            digests[id] = _digest(store.runs, id)
            for spec in specs:
                store.scores.path(spec.id, CASES)
                digests[spec.id] = _digest(store.scores, spec.id)
                digests[spec.predictions.id] = _digest(store.predictions, spec.predictions.id)
        return {
            "plan": self.plan.model_dump(mode="json", exclude={"created", "digest"}),
            "records": digests,
            "failed": sorted(self.failed),
            "looks": None if self.looks is None else self.looks.model_dump(mode="json"),
        }

    @property
    def records_folder(self) -> Path:
        """Where the records of training runs are."""
        return self._store.runs.home


def read_results(folder: Path) -> Results:
    """Read a results folder's plan and what is there of it.

    Parameters
    ----------
    folder : Path
        The folder ``results/<protocol>``.

    Raises
    ------
    StoreError
        If there is no plan, or it, a failure or a record is damaged.
    """
    return _read(ResultStore(Path(folder)))


def _read(store: ResultStore) -> Results:
    plan = store.load_plan()
    declare_stored(plan.report.get("metrics", ()))
    available = {run.id: tuple(specs) for run, specs in available_scores(store, plan) if specs}
    asked = {run.id: len(plan.scores(run)) for run in plan.runs}
    return Results(
        root=store.root,
        plan=plan,
        available=available,
        finished=frozenset(id for id, specs in available.items() if len(specs) == asked[id]),
        failed=frozenset(store.failed()) & asked.keys(),
        _store=store,
    )


def has_results(folder: Path) -> bool:
    """Whether a folder is a results folder."""
    return ResultStore(folder).has_plan()


def _digest(layer: Layer[Any], id: str) -> str:
    return str(layer.content(id)["digest"])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
