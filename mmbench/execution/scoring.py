"""The third layer in a worker: stored predictions are scored; no network and no image is needed."""

from __future__ import annotations

import time

from mmbench.errors import StoreError
from mmbench.evaluation.scores import Scores, score_classification, score_segmentation
from mmbench.protocol.specs import ScoresSpec
from mmbench.protocol.vocabulary import Task
from mmbench.provenance import engine_digest
from mmbench.store.environment import capture
from mmbench.store.layer import fix_hint, write_parquet
from mmbench.store.masks import predicted_masks, true_masks
from mmbench.store.missing import scored_content
from mmbench.store.records import ScoresRecord
from mmbench.store.store import CASES, PROBABILITIES, ResultStore


def write_scores(store: ResultStore, spec: ScoresSpec) -> None:
    """Score stored predictions and write the scores, in place of earlier ones.

    Parameters
    ----------
    store : ResultStore
        Holds the predictions and their ground truth.
    spec : ScoresSpec
        What to score.

    Raises
    ------
    StoreError
        If predictions or ground truth are missing or damaged.
    """
    begin = time.perf_counter()
    wanted = spec.predictions
    predictions = store.predictions.content(wanted.id)
    name = scored_content(predictions, spec)
    if name is None:
        raise StoreError(
            f"{store.predictions.folder(wanted.id)}: does not hold what is to be scored; "
            f"{fix_hint(store.root)}"
        )
    found = _scores(store, spec)
    record = ScoresRecord(
        id=spec.id,
        predictions=wanted.id,
        scored=predictions["contents"][name],
        run=wanted.run,
        task=wanted.task,
        domain=wanted.domain,
        policy=spec.policy.of(wanted.task),
        metrics_version=spec.metrics,
        metrics=found.metrics,
        cases=len(found.cases),
        seconds=time.perf_counter() - begin,
        engine=engine_digest("scores"),
        environment=capture(),
    )
    store.scores.write(record, lambda folder: write_parquet(found.cases, folder / CASES), replace=True)


def _scores(store: ResultStore, spec: ScoresSpec) -> Scores:
    wanted = spec.predictions
    cases = store.ground_truth.table(wanted.ground_truth, CASES).to_pandas()
    if wanted.task is Task.CLASSIFICATION:
        classes = wanted.domain.classes
        probabilities = store.predictions.table(wanted.id, PROBABILITIES).to_pandas()[list(classes)]
        return score_classification(cases, probabilities.to_numpy(), spec.policy, classes)
    masks, truth = predicted_masks(store, spec), true_masks(store, wanted)
    return score_segmentation(cases, masks, truth, spec.policy, structures=wanted.domain.structures)
