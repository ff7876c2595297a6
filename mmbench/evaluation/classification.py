"""Metrics of predicted probabilities of pneumonia, pooled over the cases of a domain."""

from __future__ import annotations

import math

import numpy as np

from mmbench.protocol.schema import MetricPolicy

CALIBRATION_BINS = 15


def case_classification(
    labels: np.ndarray, probabilities: np.ndarray, policy: MetricPolicy
) -> dict[str, np.ndarray]:
    """Return each case's predicted class and whether it is right.

    Parameters
    ----------
    labels : ndarray
        0 normal or 1 pneumonia, shape (N,).
    probabilities : ndarray
        Of pneumonia, in [0, 1], shape (N,).
    policy : MetricPolicy
        A probability equal to its ``class_threshold`` is positive.

    Returns
    -------
    dict of str to ndarray
        ``predicted``, int64 in {0, 1}, and ``correct``, bool.

    Raises
    ------
    ValueError
        If a label is not 0 or 1, a probability is outside [0, 1] or not a number, or the lengths differ.
    """
    if labels.shape != probabilities.shape or labels.ndim != 1:
        raise ValueError(f"{labels.shape} labels do not match {probabilities.shape} probabilities")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (normal) or 1 (pneumonia)")
    # Written so that NaN fails it.
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities of pneumonia must lie in [0, 1]")
    predicted = (probabilities >= policy.class_threshold).astype(np.int64)
    return {"predicted": predicted, "correct": predicted == labels}


def classification_summary(
    labels: np.ndarray, probabilities: np.ndarray, policy: MetricPolicy
) -> dict[str, float]:
    """Return the metrics of a domain.

    A metric that the cases cannot define is NaN: all of them without cases; sensitivity or specificity
    without a case of that class; balanced accuracy, MCC, AUROC and AUPRC with a single class; the F1 of
    a class that neither occurs nor is predicted. MCC of a constant prediction is 0, its limit.

    Parameters
    ----------
    labels : ndarray
        0 normal or 1 pneumonia, shape (N,).
    probabilities : ndarray
        Of pneumonia, in [0, 1], shape (N,).
    policy : MetricPolicy
        Its ``class_threshold`` makes the predictions.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``f1_normal``, ``f1_pneumonia``, ``balanced_accuracy``, ``auroc``, ``auprc``,
        ``mcc``, ``sensitivity``, ``specificity``, ``brier``, ``ece``.
        :data:`mmbench.protocol.metrics.METRICS` defines each.

    Raises
    ------
    ValueError
        As :func:`case_classification`.
    """
    predicted = case_classification(labels, probabilities, policy)["predicted"].astype(bool)
    positive = labels.astype(bool)
    tp, fp = int((predicted & positive).sum()), int((predicted & ~positive).sum())
    fn, tn = int((~predicted & positive).sum()), int((~predicted & ~positive).sum())
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    auroc, auprc = ranking_scores(positive, probabilities)
    # F1 = 2 precision recall / (precision + recall) = 2 TP / (2 TP + FP + FN), each class as the positive.
    return {
        "accuracy": _ratio(tp + tn, len(labels)),
        "f1_normal": _ratio(2 * tn, 2 * tn + fn + fp),
        "f1_pneumonia": _ratio(2 * tp, 2 * tp + fn + fp),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "auroc": auroc,
        "auprc": auprc,
        "mcc": _matthews(tp, fp, fn, tn),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "brier": _ratio(float(((probabilities - positive) ** 2).sum()), len(labels)),
        "ece": expected_calibration_error(positive, probabilities),
    }


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Return the expected calibration error of the probability of pneumonia.

    The binned estimate of Guo et al. 2017 for the positive class: the probabilities fall into
    equal-width bins (k / bins, (k + 1) / bins], 0 into the first; the error is the mean over cases of
    the gap between a bin's mean probability and its share of pneumonia. No threshold enters.

    Parameters
    ----------
    labels : ndarray
        0 or 1, or bool, shape (N,).
    probabilities : ndarray
        In [0, 1], shape (N,).
    bins : int
        Number of bins.

    Returns
    -------
    float
        In [0, 1]; NaN without cases.
    """
    # With n_b of N cases in bin b, sum over b of n_b / N * |mean_b(p) - mean_b(y)| = sum |sum_b(p - y)| / N.
    # A probability's bin is the number of inner edges below it, so one on an edge belongs to the lower bin.
    edges = np.linspace(0, 1, bins + 1)
    member = np.searchsorted(edges[1:-1], probabilities, side="left")
    gaps = np.bincount(member, probabilities - labels.astype(np.float64), minlength=bins)
    return _ratio(float(np.abs(gaps).sum()), len(labels))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _matthews(tp: int, fp: int, fn: int, tn: int) -> float:
    if tp + fn == 0 or tn + fp == 0:
        return math.nan
    # In whole numbers, which Python does not let overflow. With both classes there, the product is 0 only if
    # the prediction is constant; the numerator is 0 then, too.
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def ranking_scores(positive: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Return AUROC and average precision; NaN with one class alone."""
    if positive.all() or not positive.any():
        return math.nan, math.nan
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(roc_auc_score(positive, probabilities)), float(
        average_precision_score(positive, probabilities)
    )
