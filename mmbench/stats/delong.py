"""Areas under ROC curves of the same cases compared (DeLong et al. 1988, doi:10.2307/2531595)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmbench.stats.paired import TestResult, midranks


@dataclass(frozen=True)
class DeLong:
    """Two areas and their comparison.

    Attributes
    ----------
    areas : tuple of float
        Of a and b.
    covariance : ndarray
        Of the two areas, shape (2, 2).
    test : TestResult
        Two-sided, normal, of equal areas.
    """

    areas: tuple[float, float]
    covariance: np.ndarray
    test: TestResult


def delong_test(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> DeLong:
    """Compare two classifiers' areas under the ROC curve on the same cases, in O(n log n).

    Structural components from midranks (Sun and Xu 2014, doi:10.1109/LSP.2014.2337313). Cases count as
    independent; where patients have several, use the clustered intervals of a report.

    Parameters
    ----------
    labels : ndarray
        0 or 1, both present at least twice, shape (N,).
    a, b : ndarray
        Scores, higher for label 1, shape (N,).

    Returns
    -------
    DeLong
        With NaN where a class has fewer than two cases, where a score is NaN, or where areas differ and no
        case varies.
    """
    from scipy import special

    positive = labels > 0.5
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < 2 or np.isnan(a).any() or np.isnan(b).any():
        nothing = TestResult("DeLong", math.nan, math.nan, len(labels))
        return DeLong((math.nan, math.nan), np.full((2, 2), math.nan), nothing)
    components = [_components(scores, positive) for scores in (a, b)]
    areas = [float(by_positive.mean()) for by_positive, _ in components]
    covariance = (
        np.cov(np.stack([by_positive for by_positive, _ in components])) / ones
        + np.cov(np.stack([by_negative for _, by_negative in components])) / zeros
    )
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    gap = areas[0] - areas[1]
    if variance <= 1e-18:
        # Without a spread to compare it with, a gap says nothing of other cases.
        statistic, p = (0.0, 1.0) if gap == 0 else (math.nan, math.nan)
    else:
        statistic = gap / math.sqrt(variance)
        p = float(2 * special.ndtr(-abs(statistic)))
    return DeLong((areas[0], areas[1]), covariance, TestResult("DeLong", statistic, p, len(labels)))


def _components(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, of each positive, the share of negatives below it; of each negative, of positives above."""
    ones, zeros = scores[positive], scores[~positive]
    # A midrank among all less the one within the own class counts the other class' cases below, ties half.
    whole = midranks(np.concatenate([ones, zeros]))
    above = (whole[: len(ones)] - midranks(ones)) / len(zeros)
    below = 1 - (whole[len(ones) :] - midranks(zeros)) / len(ones)
    return above, below
