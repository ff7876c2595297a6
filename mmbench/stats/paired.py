"""Paired tests and effect sizes, across cases or across trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

EXACT_UP_TO = 25
"""Differences up to which the signed-rank test is exact; pairs that disagree below which McNemar's is."""


@dataclass(frozen=True)
class TestResult:
    """A test's answer.

    Attributes
    ----------
    name : str
        Which test, with what was done about ties.
    statistic : float
        NaN where undefined.
    p : float
        Two-sided, in [0, 1]; NaN where the test says nothing.
    n : int
        What it counted: differences, or pairs that disagree.
    """

    __test__ = False  # not a test of pytest's

    name: str
    statistic: float
    p: float
    n: int


def wilcoxon_cases(differences: np.ndarray) -> TestResult:
    """Test whether paired differences of cases are symmetric about 0.

    Wilcoxon's signed-rank test with zeros after Pratt, exact for at most 25 cases, else the normal
    approximation with a correction for ties. It sees one training: nothing follows for another seed.

    Parameters
    ----------
    differences : ndarray
        One per case, finite, shape (N,).
    """
    found = signed_rank_exact(differences)
    exact = len(differences) <= EXACT_UP_TO
    return found if exact else replace(found, name="Wilcoxon signed-rank, Pratt")


def signed_rank_exact(differences: np.ndarray) -> TestResult:
    """Test whether paired differences are symmetric about 0, exactly for at most 25.

    Every pattern of signs is equally likely under the hypothesis; ties share their mean rank, and zeros
    keep theirs without a sign (Pratt 1959, doi:10.1080/01621459.1959.10501526).

    Parameters
    ----------
    differences : ndarray
        Shape (R,); beyond 25 the normal approximation with ties is used.
    """
    differences = to_rounding(differences)
    p = float(signed_rank_p(differences[None])[0])
    ranks = midranks(np.abs(differences)) if len(differences) else np.zeros(0)
    return TestResult("exact signed-rank, Pratt", float(ranks[differences > 0].sum()), p, len(differences))


def signed_rank_p(differences: np.ndarray) -> np.ndarray:
    """Return p of the exact signed-rank test for many sets of differences at once.

    Parameters
    ----------
    differences : ndarray
        Shape (K, R): K comparisons over R pairs of trainings; beyond 25 pairs the normal approximation
        with ties is used.

    Returns
    -------
    ndarray
        Two-sided p, shape (K,); 1 where all differences are 0, NaN without any.
    """
    if differences.shape[1] == 0:
        return np.full(len(differences), np.nan)
    return np.array([_signed_rank(row) for row in differences])


ROUNDING = 9
"""Decimals to which differences of scores are told apart: k / n and k' / n differ by rounding otherwise."""


def to_rounding(values: Any) -> Any:
    """Return values as ranks see them; adding 0 makes -0 equal to 0."""
    return np.round(values, ROUNDING) + 0.0


def _signed_rank(row: np.ndarray) -> float:
    row = to_rounding(row)
    # Doubled ranks are whole numbers, ties or not.
    doubled = np.rint(2 * midranks(np.abs(row))).astype(int)
    signed = tuple(sorted(doubled[row != 0].tolist()))
    if not signed:
        return 1.0
    positive, total = int(doubled[row > 0].sum()), sum(signed)
    if len(row) > EXACT_UP_TO:
        spread = math.sqrt(sum(rank**2 for rank in signed) / 4)
        return math.erfc(abs(positive - total / 2) / spread / math.sqrt(2))
    return min(1.0, 2 * float(_rank_sum_distribution(signed)[min(positive, total - positive)]))


@lru_cache(maxsize=1024)
def _rank_sum_distribution(ranks: tuple[int, ...]) -> np.ndarray:
    """Return P(sum of the positive ranks <= s) for s = 0, 1, ..., every pattern of signs alike."""
    total = sum(ranks)
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] = ways[rank:] + ways[: total + 1 - rank]
    cumulative: np.ndarray = np.cumsum(ways) / 2.0 ** len(ranks)
    return cumulative


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> TestResult:
    """Test whether two classifiers are right equally often on the same cases.

    McNemar's test: exact (binomial) below 25 cases on which they disagree, else chi-squared with Edwards'
    continuity correction.

    Parameters
    ----------
    correct_a, correct_b : ndarray
        bool, shape (N,).
    """
    from scipy import special

    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    count = only_a + only_b
    if count == 0:
        return TestResult("McNemar, exact", 0.0, 1.0, 0)
    if count < EXACT_UP_TO:
        p = min(1.0, 2 * float(special.bdtr(min(only_a, only_b), count, 0.5)))
        return TestResult("McNemar, exact", float(min(only_a, only_b)), p, count)
    statistic = max(abs(only_a - only_b) - 1, 0) ** 2 / count
    return TestResult("McNemar, corrected", statistic, float(special.chdtrc(1, statistic)), count)


def nadeau_bengio(differences: np.ndarray, test_share: float) -> TestResult:
    """Test a mean difference over trainings whose training sets overlap.

    The corrected resampled t test (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366, eq. 24): the
    variance of the mean is (1 / R + n_test / n_train) s^2.

    Parameters
    ----------
    differences : ndarray
        One per pair of trainings, shape (R,).
    test_share : float
        n_test / n_train.
    """
    from scipy import special

    count = len(differences)
    if count < 2:
        return TestResult("Nadeau-Bengio t", math.nan, math.nan, count)
    spread = math.sqrt((1 / count + test_share) * float(differences.var(ddof=1)))
    mean = float(differences.mean())
    if is_constant(differences):
        p = same_sign_p(count) if to_rounding(mean) else 1.0
        return TestResult("Nadeau-Bengio t", math.nan, p, count)
    return TestResult(
        "Nadeau-Bengio t", mean / spread, float(2 * special.stdtr(count - 1, -abs(mean / spread))), count
    )


def same_sign_p(count: int) -> float:
    """Return the two-sided p of differences of one sign: without spread, no t test is defined."""
    return 2.0 ** (1 - count)


def is_constant(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return whether values are equal but for rounding, along an axis."""
    constant: np.ndarray = np.ptp(to_rounding(values), axis=axis) == 0
    return constant


def rank_biserial(differences: np.ndarray) -> float:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014, doi:10.2466/11.IT.3.1).

    Parameters
    ----------
    differences : ndarray
        One per case, shape (N,).

    Returns
    -------
    float
        Positive ranks minus negative ranks over all ranks of non-zero differences, in [-1, 1]; 0 where
        all are 0, NaN without any.
    """
    if not len(differences):
        return math.nan
    differences = to_rounding(differences)
    kept = differences[differences != 0]
    if not len(kept):
        return 0.0
    ranks = midranks(np.abs(kept))
    return float((ranks * np.sign(kept)).sum() / ranks.sum())


def superiority(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of pairs in which a is above b, ties counted one half.

    Parameters
    ----------
    a, b : ndarray
        Paired scores, shape (N,).
    """
    differences = to_rounding(a - b)
    return float((differences > 0).mean() + (differences == 0).mean() / 2) if len(a) else math.nan


def midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, ties sharing their mean rank."""
    # scipy.stats.rankdata does the same in ten times the time for few values.
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
