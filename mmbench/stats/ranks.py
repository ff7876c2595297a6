"""Ranks of methods over blocks, and between which a test finds a difference.

A block is one seed on one domain: every method has a value in it, its mean over label budgets. The cliques
of the critical-difference diagram come from pairwise t tests over blocks with Holm's correction: rank tests
of so few blocks cannot be significant, and Nemenyi's verdict on two methods depends on the others in the pool
(Benavoli et al. 2016, http://jmlr.org/papers/v17/benavoli16a.html).
"""

from __future__ import annotations

import itertools
import math
import string

import numpy as np

from mmbench.stats.multiplicity import holm
from mmbench.stats.paired import TestResult, is_constant, same_sign_p, to_rounding


def mean_ranks(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Return each method's mean rank; 1 is best, ties share their mean rank.

    Parameters
    ----------
    values : ndarray
        Shape (..., blocks, methods).
    higher_is_better : bool
        The metric's direction.

    Returns
    -------
    ndarray
        In [1, methods], shape (..., methods); NaN where a value is undefined, which is neither good nor bad.
    """
    signed = to_rounding(-values if higher_is_better else values)
    # How many are better, and half of those as good: the midrank, for all blocks at once.
    better = (signed[..., None, :] < signed[..., :, None]).sum(-1)
    equal = (signed[..., None, :] == signed[..., :, None]).sum(-1)
    ranks: np.ndarray = np.where(np.isnan(signed).any(-1, keepdims=True), np.nan, better + (equal + 1) / 2)
    return ranks.mean(axis=-2)  # type: ignore[no-any-return]


def friedman(values: np.ndarray, higher_is_better: bool = True) -> TestResult:
    """Test whether all methods rank alike (Friedman's chi-squared, corrected for ties).

    Parameters
    ----------
    values : ndarray
        Shape (blocks, methods), at least three methods and two blocks.
    higher_is_better : bool
        Without effect on p.
    """
    from scipy import stats

    blocks, methods = values.shape
    values = to_rounding(values)
    if blocks < 2 or methods < 3 or np.all(values == values[:, :1]):
        return TestResult("Friedman", math.nan, math.nan, blocks)
    found = stats.friedmanchisquare(*(values.T if higher_is_better else -values.T))
    return TestResult("Friedman", float(found.statistic), float(found.pvalue), blocks)


def pairwise_t_holm(values: np.ndarray) -> np.ndarray:
    """Return p of every pair's paired t test over blocks, corrected by Holm over all pairs.

    Parameters
    ----------
    values : ndarray
        Shape (blocks, methods), at least two blocks.

    Returns
    -------
    ndarray
        Symmetric, 1 on the diagonal and for pairs that never differ, shape (methods, methods).
    """
    from scipy import special

    blocks, methods = values.shape
    pairs = list(itertools.combinations(range(methods), 2))
    found = np.ones((methods, methods))
    if pairs:
        differences = np.stack([values[:, a] - values[:, b] for a, b in pairs])
        means = np.abs(differences.mean(1))
        errors = differences.std(1, ddof=1) / math.sqrt(blocks)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = 2 * special.stdtr(blocks - 1, -means / errors)
        constant = is_constant(differences, axis=1)
        each[constant] = np.where(to_rounding(means[constant]) == 0, 1.0, same_sign_p(blocks))
        for (a, b), p in zip(pairs, holm(each), strict=True):
            found[a, b] = found[b, a] = p
    return found


def cliques(ranks: np.ndarray, p_holm: np.ndarray, alpha: float = 0.05) -> list[tuple[int, ...]]:
    """Return the largest runs of methods, in order of rank, in which no pair differs significantly.

    Parameters
    ----------
    ranks : ndarray
        Mean ranks, shape (methods,).
    p_holm : ndarray
        From :func:`pairwise_t_holm`.
    alpha : float
        Significance level.

    Returns
    -------
    list of tuple of int
        Methods, best first; runs of a single method are left out.
    """
    order = [int(place) for place in np.argsort(ranks, kind="stable")]
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and all(p_holm[order[end], other] >= alpha for other in order[start:end]):
            end += 1
        if end > reached and end - start > 1:
            found.append(tuple(order[start:end]))
        reached = max(reached, end)
    return found


def letters(ranks: np.ndarray, p_holm: np.ndarray, alpha: float = 0.05) -> list[str]:
    """Return tie groups as letters: methods that share one do not differ significantly.

    Parameters are those of :func:`cliques`. A method in no clique has a letter of its own.
    """
    groups = list(cliques(ranks, p_holm, alpha))
    alone = set(range(len(ranks))) - {place for group in groups for place in group}
    groups += [(place,) for place in alone]
    groups.sort(key=lambda group: (ranks[group[0]], group[0]))
    found = [""] * len(ranks)
    for number, group in enumerate(groups):
        for place in group:
            found[place] += string.ascii_lowercase[number % 26] * (number // 26 + 1)
    return found


def rank_intervals(replicates: np.ndarray, higher_is_better: bool, confidence: float = 0.95) -> np.ndarray:
    """Return percentile intervals of mean ranks.

    Parameters
    ----------
    replicates : ndarray
        Values with blocks and patients resampled, shape (resamples, blocks, methods); resamples with an
        undefined value are left out.
    higher_is_better : bool
        The metric's direction.
    confidence : float
        In (0, 1).

    Returns
    -------
    ndarray
        Low and high, shape (methods, 2).
    """
    ranks = mean_ranks(replicates, higher_is_better)
    ranks = ranks[np.isfinite(ranks).all(axis=-1)]
    if not len(ranks):
        return np.full((replicates.shape[-1], 2), np.nan)
    tail = (1 - confidence) / 2
    ends: np.ndarray = np.quantile(ranks, [tail, 1 - tail], axis=0).T
    return ends
