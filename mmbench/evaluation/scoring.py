"""From predictions to one row per case, and to a domain's summary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmbench.data.dataset import Dataset
from mmbench.evaluation.classification import case_classification, classification_summary
from mmbench.evaluation.prediction import DomainPrediction
from mmbench.evaluation.segmentation import overlap_scores, segmentation_scores
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task


def score_cases(
    dataset: Dataset, rows: np.ndarray, task: Task, prediction: DomainPrediction, policy: MetricPolicy
) -> pd.DataFrame:
    """Return one row per case with its prediction and every per-case metric.

    Parameters
    ----------
    dataset : Dataset
        The domain.
    rows : ndarray
        Which of its cases were predicted, in the prediction's order.
    task : Task
        What to score.
    prediction : DomainPrediction
        For ``rows``.
    policy : MetricPolicy
        Thresholds and the rules for empty masks.
    """
    cases = dataset.cases.iloc[rows][["case_id", "patient_id"]].reset_index(drop=True)
    cases.insert(0, "domain", dataset.domain)
    cases.insert(1, "task", task.value)
    if task is Task.CLASSIFICATION:
        assert prediction.probabilities is not None
        labels = dataset.cases["label"].iloc[rows].to_numpy(dtype=np.int64)
        scored = case_classification(labels, prediction.probabilities, policy)
        return cases.assign(label=labels, probability=prediction.probabilities, **scored)
    assert dataset.masks is not None
    assert prediction.masks is not None
    scores = [
        segmentation_scores(mask >= policy.mask_threshold, dataset.masks[row] > 0, policy)
        for row, mask in zip(rows, prediction.masks, strict=True)
    ]
    return pd.concat([cases, pd.DataFrame(scores)], axis=1)


IDENTIFIERS = (
    "domain",
    "task",
    "in_domain",
    "case_id",
    "patient_id",
    "label",
    "probability",
    "predicted",
    "correct",
)


def main_score(
    dataset: Dataset, rows: np.ndarray, task: Task, prediction: DomainPrediction, policy: MetricPolicy
) -> float:
    """Return balanced accuracy, or the mean Dice, alone; parameters as for :func:`score_cases`."""
    if task is Task.CLASSIFICATION:
        assert prediction.probabilities is not None
        labels = dataset.cases["label"].iloc[rows].to_numpy(dtype=np.int64)
        return classification_summary(labels, prediction.probabilities, policy)["balanced_accuracy"]
    assert dataset.masks is not None
    assert prediction.masks is not None
    predicted = prediction.masks >= policy.mask_threshold
    truth = dataset.masks[rows] > 0
    counts = zip(*(part.sum((1, 2)) for part in (predicted & truth, predicted, truth)), strict=True)
    return float(np.mean([overlap_scores(*map(int, count))["dice"] for count in counts]))


def summarise(cases: pd.DataFrame, task: Task, policy: MetricPolicy) -> dict[str, Any]:
    """Return a domain's metrics: pooled over cases for classification, means over cases for masks.

    A mean leaves out cases whose metric is undefined; ``empty_prediction`` and ``empty_truth`` are
    counts.
    """
    if task is Task.CLASSIFICATION:
        return classification_summary(cases["label"].to_numpy(), cases["probability"].to_numpy(), policy)
    values = cases.drop(columns=[name for name in IDENTIFIERS if name in cases]).astype(float)
    counts = {name: float(values.pop(name).sum()) for name in ("empty_prediction", "empty_truth")}
    return {**{str(name): float(value) for name, value in values.mean().items()}, **counts}
