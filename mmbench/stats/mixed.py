"""Estimates that hold for other trainings and other patients: trainings as readers, cases as cases.

Studies of several readers and several cases face the same question: readers (here trainings, each with
its labelled subset and seed) and cases are both samples, and every reader reads every case. The variance of
the mean over trainings is, after Obuchowski and Rockette (1995, doi:10.1080/03610919508813243),

    Var(mean) = V_trainings + max(Cov, 0),

with the covariance that resampling patients gives between two trainings. The two parts are known with
different certainty, three trainings with two degrees of freedom and a hundred patients with many: the
critical value is Cochran's (1964, doi:10.2307/2528003), each part's own t weighted by its variance. Hillis'
single degrees of freedom (2007, doi:10.1002/sim.2532) are too many where three trainings happen to agree. An
interval over trainings and patients is also never narrower than that of the patients alone with these
trainings: accuracies of two seeds can be equal by chance. ``python -m benchmarks.validity`` shows what
intervals cover, beside a percentile bootstrap, which takes three seeds for the whole population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over trainings with its uncertainty.

    Attributes
    ----------
    value : float
        The mean over trainings; NaN without any.
    low, high : float
        Ends of the interval.
    se : float
        Standard error.
    df : float
        Degrees of freedom of the variance between trainings, or of the patients where they are all that
        varies; 0 where there is no interval.
    p : float
        Two-sided, of the hypothesis that the expected value is 0.
    trainings : int
        How many trainings entered.
    over : str
        What the interval generalises over.
    """

    value: float
    low: float
    high: float
    se: float
    df: float
    p: float
    trainings: int
    over: str

    @property
    def has_interval(self) -> bool:
        """Whether there was anything to tell the uncertainty from."""
        return self.df > 0


def mixed_estimate(
    values: np.ndarray, covariance: np.ndarray, patients: int, confidence: float = 0.95
) -> Estimate:
    """Return the mean over trainings with an interval over trainings and patients.

    Parameters
    ----------
    values : ndarray
        The metric, or a difference of two methods' metrics, shape (subsets, seeds); NaN where a training
        is missing. Only a grid of subsets and seeds without gaps enters: whoever has most gaps is left out.
    covariance : ndarray
        Of ``values`` (flattened) under resampling of patients, shape (subsets * seeds, subsets * seeds).
    patients : int
        How many patients were resampled; the degrees of freedom of a single training.
    confidence : float
        In (0, 1).
    """
    subsets, seeds = complete_part(values)
    grid = values[np.ix_(subsets, seeds)]
    if grid.size == 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0.0, math.nan, 0, "")
    chosen = (subsets[:, None] * values.shape[1] + seeds[None, :]).ravel()
    bounds = _bounds(grid, covariance[np.ix_(chosen, chosen)], patients)
    value, over = float(grid.mean()), described(*grid.shape)
    if not all(part.df > 0 and part.variance >= 0 for parts in bounds for part in parts):
        return Estimate(value, math.nan, math.nan, math.nan, 0.0, math.nan, grid.size, over)
    errors = [math.sqrt(sum(part.variance for part in parts)) for parts in bounds]
    half = max(critical_value(1 - confidence, parts) * se for parts, se in zip(bounds, errors, strict=True))
    p = max(_p_value(value, parts) for parts in bounds)
    df = next((part.df for part in bounds[0] if part.variance > 0), bounds[-1][-1].df)
    return Estimate(value, value - half, value + half, max(errors), df, p, grid.size, over)


@dataclass(frozen=True)
class Part:
    """A part of a variance, and with how many degrees of freedom it is known."""

    variance: float
    df: float


def critical_value(alpha: float, parts: Sequence[Part]) -> float:
    """Return Cochran's critical value: the parts' two-sided t quantiles weighted by their variances."""
    from scipy import special

    total = sum(part.variance for part in parts)
    if total == 0:
        return 0.0
    # scipy.stats' distributions cost twenty times their special functions.
    return float(
        sum(-special.stdtrit(part.df, alpha / 2) * part.variance for part in parts if part.variance) / total
    )


def _p_value(value: float, parts: Sequence[Part]) -> float:
    """Return the level at which a value is just critical."""
    from scipy import special

    used = [part for part in parts if part.variance > 0]
    if not used:
        return float(value == 0)
    ratio = abs(value) / math.sqrt(sum(part.variance for part in used))
    # The weighted quantile lies between the parts' own, so p lies between theirs.
    low, high = (
        math.log(max(end(float(2 * special.stdtr(part.df, -ratio)) for part in used), 1e-300))
        for end in (min, max)
    )
    # Halving ends whatever the values are, infinite quantiles included. Importing scipy.optimize would take
    # longer than all the tests of a comparison.
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if critical_value(math.exp(middle), used) < ratio else (middle, high)
    return math.exp((low + high) / 2)


def described(subsets: int, seeds: int) -> str:
    """Say in words what an interval over so many subsets and seeds generalises over."""
    if subsets * seeds == 1:
        return "cases of one training"
    parts = ["cases"]
    if seeds > 1:
        parts.append(f"{seeds} seeds")
    if subsets > 1:
        parts.append(f"{subsets} labelled subsets")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def training_variance(grid: np.ndarray) -> tuple[float, list[tuple[float, int]]]:
    """Return the variance of the mean over a grid of trainings, and what it is made of.

    One factor: the usual s^2 / n. Subsets and seeds crossed: (MS_subset + MS_seed - MS_rest) / n, at least
    the larger of the first two, since their difference can fall below what it estimates.

    Parameters
    ----------
    grid : ndarray
        Shape (subsets, seeds), at least two trainings.

    Returns
    -------
    tuple
        The variance, and (part, degrees of freedom) of the mean squares in it, for Satterthwaite's rule.
    """
    subsets, seeds = grid.shape
    count = subsets * seeds
    if min(subsets, seeds) == 1:
        part = float(grid.var(ddof=1)) / count
        return part, [(part, count - 1)]
    mean = grid.mean()
    by_subset, by_seed = grid.mean(1, keepdims=True), grid.mean(0, keepdims=True)
    of_subset = seeds * float(((by_subset - mean) ** 2).sum()) / (subsets - 1)
    of_seed = subsets * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    rest = float(((grid - by_subset - by_seed + mean) ** 2).sum()) / ((subsets - 1) * (seeds - 1))
    total = max(of_subset + of_seed - rest, of_subset, of_seed)
    return total / count, [(of_subset / count, subsets - 1), (of_seed / count, seeds - 1)]


def _bounds(grid: np.ndarray, covariance: np.ndarray, patients: int) -> list[list[Part]]:
    """Return the variance of the mean in parts: over trainings and patients, and over patients alone."""
    if grid.size == 1:
        return [[Part(float(covariance[0, 0]), patients - 1)]]
    # Off the diagonal is what patients do to two trainings alike, Obuchowski and Rockette's Cov; the
    # diagonal's excess over it is a training's own case noise, which shrinks with the number of trainings.
    shared = float(covariance[~np.eye(grid.size, dtype=bool)].mean())
    own = max(float(np.diag(covariance).mean()) - shared, 0.0) / grid.size
    variance, squares = training_variance(grid)
    # Satterthwaite's rule for the sum of the mean squares, without the one that is taken off.
    uncertain = sum(square**2 / df for square, df in squares)
    df = sum(square for square, _ in squares) ** 2 / uncertain if uncertain > 0 else 1.0
    of_patients = Part(max(shared, 0.0), patients - 1)
    return [[Part(variance, df), of_patients], [Part(of_patients.variance + own, patients - 1)]]


def complete_part(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return subsets and seeds of a part without gaps, as large as leaving out the worst one makes it."""
    there = np.isfinite(values)
    subsets, seeds = np.arange(values.shape[0]), np.arange(values.shape[1])
    subsets, seeds = subsets[there.any(1)], seeds[there.any(0)]
    while not there[np.ix_(subsets, seeds)].all():
        part = there[np.ix_(subsets, seeds)]
        by_subset, by_seed = part.mean(1), part.mean(0)
        if by_subset.min() <= by_seed.min():
            subsets = np.delete(subsets, by_subset.argmin())
        else:
            seeds = np.delete(seeds, by_seed.argmin())
    return subsets, seeds
