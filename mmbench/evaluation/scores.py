"""From stored predictions and ground truth to one row per case, and to a domain's summary.

No network, no image and no GPU enters: scores can be made wherever the predictions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmbench.evaluation.classification import case_classification, classification_summary
from mmbench.evaluation.multiclass import PROBABILITY, case_classes, multiclass_summary
from mmbench.evaluation.plugins import class_values
from mmbench.evaluation.segmentation import FLAGS, structure_scores
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES


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


def score_classification(
    cases: pd.DataFrame,
    probabilities: np.ndarray,
    policy: MetricPolicy,
    classes: Sequence[str] = CLASS_NAMES,
) -> Scores:
    """Score predicted classes.

    Parameters
    ----------
    cases : DataFrame
        ``case_id``, ``patient_id`` and ``label`` (a place in ``classes``) of N cases.
    probabilities : ndarray
        Of each class, in [0, 1], shape (N, K).
    policy : MetricPolicy
        Its ``class_threshold`` makes the predicted class of normal and pneumonia.
    classes : sequence of str
        Names of the K classes.

    Raises
    ------
    ValueError
        As :func:`~mmbench.evaluation.classification.case_classification`.
    """
    labels = cases["label"].to_numpy(dtype=np.int64)
    every = probabilities.astype(np.float64)
    own = class_values(every, labels, policy)
    means = {name: float(pd.Series(values).mean()) for name, values in own.items()}
    if tuple(classes) != CLASS_NAMES:
        columns = {f"{PROBABILITY}{name}": every[:, place] for place, name in enumerate(classes)}
        table = cases[["case_id", "patient_id"]].assign(
            label=labels, **columns, **case_classes(labels, every), **own
        )
        return Scores(table, multiclass_summary(labels, every, classes) | means)
    values = every[:, 1]
    scored = case_classification(labels, values, policy)
    table = cases[["case_id", "patient_id"]].assign(label=labels, probability=values, **scored, **own)
    return Scores(table, classification_summary(labels, values, policy) | means)


def score_segmentation(
    cases: pd.DataFrame,
    masks: np.ndarray,
    truth: np.ndarray,
    policy: MetricPolicy,
    neighbours: int = 4,
    structures: Sequence[str] = STRUCTURE_NAMES,
) -> Scores:
    """Score predicted masks.

    Parameters
    ----------
    cases : DataFrame
        ``case_id`` and ``patient_id`` of N cases.
    masks, truth : ndarray
        bool, shape (N, structures, S, S).
    policy : MetricPolicy
        Spacing, NSD tolerance and the rule for empty masks.
    neighbours : int
        As for :func:`mmbench.evaluation.distances.surface`; records have 4.
    structures : sequence of str
        Names of the structures. Of several, each has its own scores, and their means are the case's.
    """
    rows = [
        structure_scores(one, other, policy, structures, neighbours)
        for one, other in zip(masks, truth, strict=True)
    ]
    values = pd.DataFrame(rows)
    table = pd.concat([cases[["case_id", "patient_id"]].reset_index(drop=True), values], axis=1)
    numbers = values.astype(float)
    # A mean leaves out the cases whose metric is undefined.
    flags = [name for name in numbers.columns if name.split(":")[0] in FLAGS]
    metrics = {str(name): float(value) for name, value in numbers.drop(columns=flags).mean().items()}
    return Scores(table, metrics | {name: float(numbers[name].sum()) for name in flags})
