"""From stored predictions and ground truth to one row per case, and to a domain's summary.

No network, no image and no GPU enters: scores can be made wherever the predictions are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmbench.evaluation.classification import case_classification, classification_summary
from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy

FLAGS = ("empty_prediction", "empty_truth")
"""Counted over cases, not averaged."""


@dataclass(frozen=True)
class Scores:
    """The scores of one run on one domain.

    Attributes
    ----------
    cases : DataFrame
        One row per case: ``case_id``, ``patient_id``, then every per-case value.
    metrics : dict of str to float
        Over all cases; NaN where undefined.
    """

    cases: pd.DataFrame
    metrics: dict[str, float]


def score_classification(cases: pd.DataFrame, probabilities: np.ndarray, policy: MetricPolicy) -> Scores:
    """Score predicted classes.

    Parameters
    ----------
    cases : DataFrame
        ``case_id``, ``patient_id`` and ``label`` (0 normal, 1 pneumonia) of N cases.
    probabilities : ndarray
        Of pneumonia, in [0, 1], shape (N,).
    policy : MetricPolicy
        Its ``class_threshold`` makes the predicted class.

    Raises
    ------
    ValueError
        As :func:`~mmbench.evaluation.classification.case_classification`.
    """
    labels = cases["label"].to_numpy(dtype=np.int64)
    values = probabilities.astype(np.float64)
    scored = case_classification(labels, values, policy)
    table = cases[["case_id", "patient_id"]].assign(label=labels, probability=values, **scored)
    return Scores(table, classification_summary(labels, values, policy))


def score_segmentation(
    cases: pd.DataFrame, masks: np.ndarray, truth: np.ndarray, policy: MetricPolicy, neighbours: int = 4
) -> Scores:
    """Score predicted masks.

    Parameters
    ----------
    cases : DataFrame
        ``case_id`` and ``patient_id`` of N cases.
    masks, truth : ndarray
        bool, shape (N, S, S).
    policy : MetricPolicy
        Spacing, NSD tolerance and the rule for empty masks.
    neighbours : int
        As for :func:`mmbench.evaluation.distances.surface`; records have 4.
    """
    rows = [
        segmentation_scores(one, other, policy, neighbours) for one, other in zip(masks, truth, strict=True)
    ]
    values = pd.DataFrame(rows)
    table = pd.concat([cases[["case_id", "patient_id"]].reset_index(drop=True), values], axis=1)
    numbers = values.astype(float)
    # A mean leaves out the cases whose metric is undefined.
    metrics = {str(name): float(value) for name, value in numbers.drop(columns=list(FLAGS)).mean().items()}
    return Scores(table, metrics | {name: float(numbers[name].sum()) for name in FLAGS})
