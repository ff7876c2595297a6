"""The second layer in a worker: a trained method's predictions on one domain, stored."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mmbench.data.dataset import Dataset
from mmbench.evaluation.breaches import checked_predictions
from mmbench.evaluation.prediction import check_outputs
from mmbench.execution.executor import RunTask
from mmbench.execution.sources import domain_dataset
from mmbench.methods.base import Method
from mmbench.plugins.discovery import cached_registry
from mmbench.plugins.extensions import source_of
from mmbench.protocol.specs import PredictionsSpec
from mmbench.protocol.vocabulary import Task
from mmbench.provenance import engine_digest
from mmbench.store.environment import capture
from mmbench.store.layer import write_arrays, write_parquet
from mmbench.store.lease import waited_lease
from mmbench.store.masks import TRUTH, array_digest, mask_arrays, pack
from mmbench.store.missing import PROBABILITY_CONTENT
from mmbench.store.records import GroundTruthRecord, PredictionsRecord
from mmbench.store.store import CASES, MASKS, PROBABILITIES, ResultStore
from mmbench.store.upkeep import sweep


class Predictor:
    """Predicts with one run and stores what it predicts.

    Parameters
    ----------
    task : RunTask
        The run.
    store : ResultStore
        Where predictions and ground truth go.
    """

    def __init__(self, task: RunTask, store: ResultStore):
        self.task = task
        self.store = store

    def write(self, method: Method, spec: PredictionsSpec, begin: float) -> None:
        """Predict a domain and write the predictions, in place of earlier ones.

        Parameters
        ----------
        method : Method
            With the run's weights.
        spec : PredictionsSpec
            What to predict.
        begin : float
            When the work began, by ``time.perf_counter``.
        """
        dataset = domain_dataset(self.task, spec.task, spec.domain)
        rows = dataset.rows(spec.domain.part, spec.task)
        write_ground_truth(self.store, spec, dataset, rows)
        probabilities = checked_predictions(
            method,
            dataset.images[rows],
            spec.task,
            device=torch.device(self.task.device),
            precision=self.task.run.training.precision,
            seed=self.task.run.root_seed,
        )
        check_outputs(method, probabilities, spec.task, dataset)
        product = str(self.store.runs.content(self.task.id)["product"])
        masks = spec.task is Task.SEGMENTATION
        thresholds, bits = self._kept(spec, product) if masks else ([], 0)
        arrays = (
            mask_arrays(probabilities, thresholds, bits) if masks else {PROBABILITY_CONTENT: probabilities}
        )
        record = PredictionsRecord(
            id=spec.id,
            run=self.task.id,
            product=product,
            task=spec.task,
            domain=spec.domain,
            ground_truth=spec.ground_truth,
            cases=len(rows),
            contents={name: array_digest(array) for name, array in arrays.items()},
            thresholds=thresholds,
            probability_bits=bits,
            method_source=self._source(),
            seconds=time.perf_counter() - begin,
            engine=engine_digest("predictions"),
            environment=capture(self.task.device),
        )

        def files(folder: Path) -> None:
            if masks:
                write_arrays(arrays, folder / MASKS)
            else:
                ids = dataset.cases["case_id"].iloc[rows].to_numpy()
                columns = {name: probabilities[:, place] for place, name in enumerate(spec.domain.classes)}
                write_parquet(pd.DataFrame({"case_id": ids, **columns}), folder / PROBABILITIES)

        self.store.predictions.write(record, files, replace=True)

    def _source(self) -> str:
        run = self.task.run
        return source_of(cached_registry(self.task.plugins).get(run.method).source_digest, run.backbone.name)

    def _kept(self, spec: PredictionsSpec, product: str) -> tuple[list[float], int]:
        """Return the thresholds and the bits to store: the protocol's, and those stored already.

        So a protocol that returns to an earlier threshold finds masks and scores as they were.
        """
        protocol = self.task.protocol
        thresholds, bits = [protocol.evaluation.mask_threshold], protocol.keep.probability_bits
        if self.store.predictions.has(spec.id):
            known = self.store.predictions.content(spec.id)
            if known["product"] == product:
                thresholds += known["thresholds"]
                bits = max(bits, known["probability_bits"])
        return sorted(set(thresholds)), bits


def write_ground_truth(store: ResultStore, spec: PredictionsSpec, dataset: Dataset, rows: np.ndarray) -> None:
    """Store the labels or masks of a domain's cases, unless they are there.

    Parameters
    ----------
    store : ResultStore
        Where.
    spec : PredictionsSpec
        Any predictions on these cases.
    dataset : Dataset
        The domain.
    rows : ndarray
        The cases, in the order of the predictions.
    """
    record = GroundTruthRecord(
        id=spec.ground_truth,
        task=spec.task,
        domain=spec.domain,
        image_size=spec.image_size,
        cases=len(rows),
    )
    columns = ["case_id", "patient_id"]
    cases = dataset.cases.iloc[rows][columns].reset_index(drop=True)

    def files(folder: Path) -> None:
        if spec.task is Task.CLASSIFICATION:
            labels = dataset.cases["label"].iloc[rows].to_numpy(dtype=np.int64)
            write_parquet(cases.assign(label=labels), folder / CASES)
            return
        assert dataset.masks is not None
        write_parquet(cases, folder / CASES)
        write_arrays({TRUTH: pack(dataset.masks[rows] > 0)}, folder / MASKS)

    # Several workers may come here at once, each with a run of its own. The lease is taken even if the record
    # is there, so that one that a killed worker left does not stay.
    with store.writing(), waited_lease(store.leases_folder, spec.ground_truth):
        sweep(store, [spec.ground_truth])
        if not store.ground_truth.has(spec.ground_truth):
            store.ground_truth.write(record, files)
