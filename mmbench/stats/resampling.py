"""Every metric of every training, on the cases as they are and on resampled patients.

The metrics here weigh cases, which the scores of :mod:`mmbench.evaluation` do not; with all weights 1
both agree (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmbench.stats.blocks import Block

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Probabilities (N,), positives (N,), weights (N, B) -> (B,)."""


@dataclass(frozen=True)
class Replicates:
    """One metric of the trainings of a block.

    Attributes
    ----------
    observed : ndarray
        On the cases as they are, shape (runs,); NaN where undefined.
    resampled : ndarray
        On resampled patients, the same for every training, shape (resamples, runs).
    """

    observed: np.ndarray
    resampled: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Between trainings, shape (runs, runs); NaN for those without a value.

        Each pair's is over the resamples in which both are defined, so that one training that is often
        undefined takes nothing from the others.
        """
        defined = np.isfinite(self.observed)
        whole = defined & np.isfinite(self.resampled).all(axis=0)
        found = np.full((len(self.observed),) * 2, np.nan)
        if len(self.resampled) > 1:
            found[np.ix_(whole, whole)] = np.atleast_2d(np.cov(self.resampled[:, whole], rowvar=False))
            for place in np.flatnonzero(defined & ~whole):
                for other in np.flatnonzero(defined):
                    pair = self.resampled[:, [place, other]]
                    pair = pair[np.isfinite(pair).all(axis=1)]
                    if len(pair) > 1:
                        found[place, other] = found[other, place] = np.cov(pair, rowvar=False)[0, 1]
        return found


def patient_weights(patients: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw patients with replacement and return how often each of their cases is counted.

    Parameters
    ----------
    patients : ndarray
        Patient codes 0..P-1, shape (N,).
    resamples : int
        How many times.
    rng : Generator
        The random stream.

    Returns
    -------
    ndarray
        float32, shape (resamples, N).
    """
    count = int(patients.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn.astype(np.float32)[:, patients]


def replicates(
    block: Block, metric: str, weights: np.ndarray, threshold: float = 0.5, *, bins: int | None = None
) -> Replicates:
    """Return a metric of every training of a block.

    Parameters
    ----------
    block : Block
        The scores.
    metric : str
        A metric's name, or any per-case column.
    weights : ndarray
        From :func:`patient_weights`, shape (resamples, N).
    threshold : float
        Classification: the probability from which a case is called pneumonia.
    bins : int, optional
        Equal-width bins of the expected calibration error, the only metric that needs them.

    Raises
    ------
    ValueError
        If ``ece`` is asked for without ``bins``.
    """
    whole = np.concatenate([np.ones((1, weights.shape[1]), dtype=weights.dtype), weights])
    if metric in block.scores:  # a value of each case
        found = _weighted_mean(block.scores[metric], whole)
    elif block.class_names:
        found = _multiclass(metric, block, whole, bins)
    else:
        found = _classification(metric, block, whole, threshold, bins)
    return Replicates(found[0], found[1:])


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted means over defined cases: values (runs, N), weights (B, N) -> (B, runs)."""
    defined = np.isfinite(values)
    if defined.all():
        total: np.ndarray = weights.sum(1, keepdims=True, dtype=np.float64)
        mean: np.ndarray = _product(weights, values) / total
        return mean
    with np.errstate(invalid="ignore", divide="ignore"):
        kept: np.ndarray = _product(weights, np.where(defined, values, 0)) / _product(weights, defined)
    return kept


def _product(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply in double precision a slice at a time: a whole copy of the weights would be large."""
    columns = np.ascontiguousarray(values.T, dtype=np.float64)
    return np.concatenate([part.astype(np.float64) @ columns for part in _slices(weights)])


def _slices(weights: np.ndarray, rows: int = 256) -> list[np.ndarray]:
    return [weights[start : start + rows] for start in range(0, len(weights), rows)]


def _classification(
    metric: str, block: Block, weights: np.ndarray, threshold: float, bins: int | None
) -> np.ndarray:
    probability = block.scores["probability"]
    positive = block.scores["label"][0] > 0.5
    if metric == "brier":
        return _weighted_mean((probability - positive) ** 2, weights)
    return _two_classes(metric, probability, probability >= threshold, positive, weights, bins)


def _multiclass(metric: str, block: Block, weights: np.ndarray, bins: int | None) -> np.ndarray:
    """Return a metric of any classes, see :func:`mmbench.evaluation.multiclass.multiclass_summary`."""
    names, labels = block.class_names, block.scores["label"][0]
    every = [block.scores[f"probability:{name}"] for name in names]
    predicted = block.scores["predicted"]
    if metric == "accuracy":
        return _weighted_mean((predicted == labels).astype(np.float64), weights)
    if metric == "brier":
        gaps = sum((probability - (labels == place)) ** 2 for place, probability in enumerate(every))
        return _weighted_mean(np.asarray(gaps) / 2, weights)
    if metric == "mcc":
        return _matthews_of_classes(predicted, labels, len(names), weights)
    base, _, member = metric.partition(":")
    base = {"balanced_accuracy": "sensitivity"}.get(base, base)
    found = [
        _two_classes(base, probability, predicted == place, labels == place, weights, bins)
        for place, (name, probability) in enumerate(zip(names, every, strict=True))
        if member in ("", name)
    ]
    return np.asarray(np.mean(found, axis=0))


def _matthews_of_classes(
    predicted: np.ndarray, labels: np.ndarray, count: int, weights: np.ndarray
) -> np.ndarray:
    cases = weights.sum(1, keepdims=True, dtype=np.float64)
    right = _product(weights, predicted == labels)
    called = np.stack([_product(weights, predicted == place) for place in range(count)])
    true = np.stack([_product(weights, (labels == place)[None]) for place in range(count)])
    # R_K (Gorodkin 2004), as in the scores; 0 for a constant prediction, undefined with one class alone.
    product = (cases**2 - (called**2).sum(0)) * (cases**2 - (true**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (right * cases - (called * true).sum(0)) / np.sqrt(product)
    constant = (called.max(0) == cases) & (true.max(0) < cases)
    return np.where(constant, 0.0, value)


def _two_classes(
    metric: str,
    probability: np.ndarray,
    predicted: np.ndarray,
    positive: np.ndarray,
    weights: np.ndarray,
    bins: int | None,
) -> np.ndarray:
    """Return a metric of two classes, or of a class against the rest."""
    if metric in FROM_COUNTS:
        tp = _product(weights, predicted & positive)
        fp = _product(weights, predicted & ~positive)
        positives, negatives = (_product(weights, part[None]) for part in (positive, ~positive))
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled: np.ndarray = FROM_COUNTS[metric]((tp, fp, positives - tp, negatives - fp))
            return pooled
    # Row by row over cases, numpy adds whole rows of resamples at once; single precision is enough for
    # their spread, but not for the value itself.
    score, exact = _one_by_one(metric, bins), weights[:1].T.astype(np.float64)
    columns = np.ascontiguousarray(weights[1:].T)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [np.append(score(one, positive, exact), score(one, positive, columns)) for one in probability],
            axis=1,
        )


def _one_by_one(metric: str, bins: int | None) -> Score:
    """Return the function of a metric that is computed one training at a time."""
    if metric != "ece":
        return _ONE_BY_ONE[metric]
    if bins is None:
        raise ValueError("the expected calibration error needs a number of bins")
    return partial(_calibration_error, bins=bins)


def _balanced(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    both: np.ndarray = (tp / (tp + fn) + tn / (tn + fp)) / 2
    return both


def _matthews(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    # 0 / 0 for a constant prediction, whose limit is 0; with one class alone it stays undefined.
    constant = ((tp + fp == 0) | (tn + fn == 0)) & (tp + fn > 0) & (tn + fp > 0)
    return np.where(constant, 0.0, (tp * tn - fp * fn) / np.sqrt(product))


FROM_COUNTS: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": lambda c: (c[0] + c[3]) / (c[0] + c[1] + c[2] + c[3]),
    "f1_normal": lambda c: 2 * c[3] / (2 * c[3] + c[1] + c[2]),
    "f1_pneumonia": lambda c: 2 * c[0] / (2 * c[0] + c[1] + c[2]),
    "f1": lambda c: 2 * c[0] / (2 * c[0] + c[1] + c[2]),
    "balanced_accuracy": _balanced,
    "mcc": _matthews,
    "sensitivity": lambda c: c[0] / (c[0] + c[2]),
    "specificity": lambda c: c[3] / (c[3] + c[1]),
}
"""Metrics of a confusion matrix (TP, FP, FN, TN)."""


def _auroc(probability: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(probability[negatives], kind="stable")]
    positives = np.flatnonzero(positive)
    ranked = probability[negatives]
    # Mann-Whitney: a positive beats the negatives below it and half of those equal to it. The two searches,
    # without and with the equal ones, add up to twice that weight.
    below = np.concatenate([np.zeros_like(weights[:1]), np.cumsum(weights[negatives], axis=0)])
    beaten = below[np.searchsorted(ranked, probability[positives], side="left")]
    beaten += below[np.searchsorted(ranked, probability[positives], side="right")]
    pairs = np.einsum("nb,nb->b", weights[positives], beaten) / 2
    area: np.ndarray = pairs / (weights[positives].sum(0) * below[-1])
    return area


def _average_precision(probability: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(-probability, kind="stable")
    hit = positive[order]
    ordered = weights[order]
    # AP = sum over thresholds of precision x gain in recall; a threshold lets in all cases of one probability
    # together.
    ends = np.searchsorted(-probability[order], -probability[order][hit], side="right") - 1
    called = np.cumsum(ordered, axis=0)[ends]
    hits = np.cumsum(ordered[hit], axis=0)
    found = hits[np.cumsum(hit)[ends] - 1]
    precision = np.divide(found, called, out=np.zeros_like(called), where=called > 0)
    mean: np.ndarray = np.einsum("nb,nb->b", ordered[hit], precision) / ordered[hit].sum(0)
    # Cases of one class alone define no ranking.
    mean[weights[~positive].sum(0) == 0] = np.nan
    return mean


def _calibration_error(
    probability: np.ndarray, positive: np.ndarray, weights: np.ndarray, bins: int
) -> np.ndarray:
    edges = np.linspace(0, 1, bins + 1)
    member = np.searchsorted(edges[1:-1], probability, side="left")
    # A bin's share of cases times its |mean probability - share of positives| is |sum of w (p - y)| over
    # all weights, so one product of gaps by bin with the weights is enough.
    gaps = np.zeros((len(probability), bins))
    gaps[np.arange(len(probability)), member] = probability - positive
    error: np.ndarray = np.abs(gaps.T.astype(weights.dtype) @ weights).sum(0) / weights.sum(0)
    return error


_ONE_BY_ONE: dict[str, Score] = {"auroc": _auroc, "auprc": _average_precision}
