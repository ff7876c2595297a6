"""Metrics of predicted probabilities of any classes, pooled over the cases of a domain.

The predicted class is the most probable one. Metrics of one class set it against all others; those without
a class are means over the classes, but for accuracy, the Matthews correlation and the Brier score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmbench.evaluation.classification import expected_calibration_error, ranking_scores

PROBABILITY = "probability:"
"""Before a class's name, the column of its probability in per-case scores."""


def case_classes(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Return each case's predicted class and whether it is right.

    Parameters
    ----------
    labels : ndarray
        Integers from 0 to K - 1, shape (N,).
    probabilities : ndarray
        Of each class, in [0, 1], shape (N, K). Of equally probable classes the first counts.

    Returns
    -------
    dict of str to ndarray
        ``predicted``, int64, and ``correct``, bool.

    Raises
    ------
    ValueError
        If a label is no class, a probability is outside [0, 1] or not a number, or the lengths differ.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"{labels.shape} labels do not match {probabilities.shape} probabilities")
    if not ((labels >= 0) & (labels < probabilities.shape[1])).all():
        raise ValueError(f"labels must lie between 0 and {probabilities.shape[1] - 1}")
    # Written so that NaN fails it.
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    predicted = probabilities.argmax(1)
    return {"predicted": predicted, "correct": predicted == labels}


def multiclass_summary(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> dict[str, float]:
    """Return the metrics of a domain.

    A metric that the cases cannot define is NaN: all of them without cases, those of a class and the means
    over classes where that class, or every other one, does not occur; the F1 of a class that neither occurs
    nor is predicted; the Matthews correlation with one class. MCC of a constant prediction is 0, its limit.

    Parameters
    ----------
    labels : ndarray
        Integers from 0 to K - 1, shape (N,).
    probabilities : ndarray
        Of each class, in [0, 1], shape (N, K).
    classes : sequence of str
        Names of the K classes.

    Returns
    -------
    dict of str to float
        By metric; :func:`mmbench.protocol.metrics.metrics_of` defines each.

    Raises
    ------
    ValueError
        As :func:`case_classes`.
    """
    predicted = case_classes(labels, probabilities)["predicted"]
    cases, count = len(labels), len(classes)
    confusion = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    found: dict[str, list[float]] = {
        name: [] for name in ("f1", "auroc", "auprc", "sensitivity", "specificity", "ece")
    }
    for place in range(count):
        tp, true, called = confusion[place, place], confusion[place].sum(), confusion[:, place].sum()
        found["f1"].append(_ratio(2 * tp, true + called))
        found["sensitivity"].append(_ratio(tp, true))
        found["specificity"].append(_ratio(cases - true - called + tp, cases - true))
        auroc, auprc = ranking_scores(labels == place, probabilities[:, place])
        found["auroc"].append(auroc)
        found["auprc"].append(auprc)
        found["ece"].append(expected_calibration_error(labels == place, probabilities[:, place]))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    gaps = probabilities - np.eye(count)[labels]
    summary = {
        "accuracy": _ratio(np.trace(confusion), cases),
        "f1": mean["f1"],
        "balanced_accuracy": mean["sensitivity"],
        "auroc": mean["auroc"],
        "auprc": mean["auprc"],
        "mcc": _matthews(confusion),
        "brier": _ratio((gaps**2).sum() / 2, cases),
        "ece": mean["ece"],
    }
    for name in ("f1", "auroc", "auprc", "sensitivity", "specificity"):
        summary |= {f"{name}:{member}": value for member, value in zip(classes, found[name], strict=True)}
    return summary


def _matthews(confusion: np.ndarray) -> float:
    # R_K = (c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2)), with c the cases that are right,
    # s all of them, p_k those called and t_k those of class k (Gorodkin 2004). In Python's whole numbers,
    # which do not overflow.
    right, cases = int(np.trace(confusion)), int(confusion.sum())
    true, called = ([int(value) for value in confusion.sum(axis)] for axis in (1, 0))
    if max(true) == cases:
        return math.nan
    spread = (cases**2 - sum(n * n for n in called)) * (cases**2 - sum(n * n for n in true))
    shared = sum(p * t for p, t in zip(called, true, strict=True))
    return (right * cases - shared) / math.sqrt(spread) if spread else 0.0


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else math.nan
