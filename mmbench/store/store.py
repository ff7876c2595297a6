"""The folder in which the records of a protocol are stored.

::

    results/<protocol>/
        plan.json             what the protocol asks for
        runs/<id>/            run.json, losses.parquet, weights; whole or absent, as every record
        predictions/<id>/     predictions.json and probabilities.parquet or masks.npz
        scores/<id>/          scores.json, cases.parquet
        ground_truth/<id>/    labels or masks of a domain's cases
        failures/<id>.json    runs whose training, predictions or scores ended with an error
        checkpoints/<id>      trainings that were interrupted
        leases/               runs that a process is working on now
        quarantine/           damaged files, set aside
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mmbench.errors import StoreError, UnwritableStoreError
from mmbench.files import check_name, write_text
from mmbench.protocol.metrics import metrics_version
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task
from mmbench.store.layer import ID, Layer, entries, fix_hint, version_of, writing
from mmbench.store.reading import parse, read_json
from mmbench.store.records import (
    FORMAT,
    Failure,
    GroundTruthRecord,
    LayerName,
    PredictionsRecord,
    RunRecord,
    ScoresRecord,
    StoredPlan,
    content_digest,
)

LOSSES = "losses.parquet"
VALIDATION = "validation.parquet"
SELECTION = "selection.parquet"
CASES = "cases.parquet"
PROBABILITIES = "probabilities.parquet"
MASKS = "masks.npz"


def log_path(results: Path, run: str) -> Path:
    """Return where the output of a run's training goes; the file exists only if something was printed."""
    return results / "logs" / f"{run}.log"


class ResultStore:
    """The records of one protocol.

    Parameters
    ----------
    root : Path
        The folder ``results/<protocol>``; it is made by the first write.

    Attributes
    ----------
    runs, predictions, scores, ground_truth : Layer
        The records of each layer.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        check_name(self.root)
        self.runs = Layer(self.root, "runs", RunRecord)
        self.predictions = Layer(self.root, "predictions", PredictionsRecord)
        self.scores = Layer(self.root, "scores", ScoresRecord)
        self.ground_truth = Layer(self.root, "ground_truth", GroundTruthRecord)
        self.failures_folder = self.root / "failures"
        self.checkpoints_folder = self.root / "checkpoints"
        self.leases_folder = self.root / "leases"
        self.quarantine_folder = self.root / "quarantine"

    @property
    def layers(self) -> tuple[Layer[Any], ...]:
        """Every layer, each before what is made from it."""
        return self.runs, self.ground_truth, self.predictions, self.scores

    def writing(self) -> AbstractContextManager[None]:
        """Say of every error of the operating system that the folder cannot be written."""
        return writing(self.root)

    def removed(self) -> UnwritableStoreError:
        """Return the error of a folder that somebody removed while a command was at work in it."""
        return UnwritableStoreError(
            f"{self.root}: the folder was removed while the command was running; run it again"
        )

    # Failures

    def failed(self) -> dict[str, Failure]:
        """Return the failures by run.

        Raises
        ------
        StoreError
            If a failure's file is damaged.
        """
        return {path.stem: self.read_failure(path) for path in self.failure_files()}

    def failure_files(self) -> list[Path]:
        """Return the file of every failure."""
        found = entries(self.failures_folder)
        return sorted(Path(e.path) for e in found if ID.fullmatch(e.name.removesuffix(".json")))

    def read_failure(self, path: Path) -> Failure:
        """Return the failure that a file holds.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        return parse(Failure, read_json(path, fix_hint(self.root)), path, fix_hint(self.root))

    def write_failure(
        self,
        run: RunSpec,
        error: str,
        traceback: str = "",
        seconds: float = 0.0,
        layer: LayerName = "run",
    ) -> None:
        """Record that a run, its predictions or its scores failed; of ``error`` the first line is kept."""
        line = next(iter(error.strip().splitlines()), "unknown error")
        failure = Failure(id=run.id, run=run, layer=layer, error=line, traceback=traceback, seconds=seconds)
        with self.writing():
            text = json.dumps(failure.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
            write_text(self.failure_path(run.id), text)

    def failure_version(self, id: str) -> int | None:
        """Return what changes when a run's failure is written again; None if it has none."""
        version = version_of(self.failure_path(id))
        return None if version is None else version[0]

    def clear_failure(self, id: str) -> None:
        """Forget a run's failure, if there is one."""
        self.failure_path(id).unlink(missing_ok=True)

    def failure_path(self, id: str) -> Path:
        """Return where a run's failure is stored, whether or not it is."""
        return self.failures_folder / f"{id}.json"

    # Checkpoints

    def checkpoint(self, id: str) -> Path:
        """Return where a run's unfinished training is saved, whether or not it is."""
        return self.checkpoints_folder / id

    def checkpoints(self) -> list[Path]:
        """Return the saved trainings."""
        found = entries(self.checkpoints_folder)
        return sorted(Path(entry.path) for entry in found if ID.fullmatch(entry.name))

    # The plan

    def save_plan(
        self,
        protocol: Protocol,
        runs: Sequence[RunSpec],
        domains: Mapping[Task, Sequence[DomainDigest]],
        report: Mapping[str, Any],
    ) -> None:
        """Write down what the protocol asks for.

        Parameters
        ----------
        protocol : Protocol
            As loaded.
        runs : sequence of RunSpec
            Everything to train, trivial baselines included.
        domains : mapping from task to digests
            The evaluated domains, the source's test part first.
        report : mapping
            JSON-ready facts for the report, such as leak counts and notes on the data.
        """
        plan = StoredPlan(
            protocol=protocol,
            runs=list(runs),
            domains={task: list(found) for task, found in domains.items()},
            metrics={task: metrics_version(task, protocol.classes, protocol.structures) for task in domains},
            report=dict(report),
        )
        content = plan.model_dump(mode="json")
        content["digest"] = content_digest(content)
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        with self.writing():
            write_text(self.root / "plan.json", text)

    def has_plan(self) -> bool:
        """Whether a plan was saved."""
        return (self.root / "plan.json").is_file()

    def load_plan(self) -> StoredPlan:
        """Return the plan saved last.

        Raises
        ------
        StoreError
            If there is none, it is damaged, or the folder is of an earlier format.
        """
        self.refuse_old_format()
        path = self.root / "plan.json"
        fix = f"make it with: mmbench run PROTOCOL --results {self.root}"
        if not path.is_file():
            raise StoreError(f"{self.root}: no plan.json, so no results folder; {fix}")
        content = read_json(path, fix)
        if content.get("digest", "") not in ("", content_digest(content)):
            raise StoreError(f"{path}: was changed after it was written; {fix}")
        return parse(StoredPlan, content, path, fix)

    def refuse_old_format(self) -> None:
        """Refuse a folder whose records an earlier version wrote; nothing in it is touched.

        Raises
        ------
        StoreError
            If it is one.
        """
        path = self.root / "plan.json"
        old = (self.root / "cells").is_dir()
        if not old and path.is_file():
            try:
                found = json.loads(path.read_bytes()).get("format", FORMAT)
            except (OSError, ValueError, AttributeError, RecursionError):
                return  # whoever reads the plan says what is wrong with it
            old = isinstance(found, int) and found < FORMAT
        if old:
            raise StoreError(
                f"{self.root}: holds records of an earlier format (trainings with their scores, in cells/), "
                "which this version cannot read; they stay as they are: run the protocol again with "
                "--results ANOTHER_FOLDER"
            )
