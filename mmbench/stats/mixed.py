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
trainings: accuracies of two seeds can be equal by chance. Where nothing varies at all, neither trainings nor
cases, the interval is what so many patients without a single exception allow.

Trainings at several label budgets are independent replications: a mean over budgets has the mean of their
variances over the square of their number, with Satterthwaite's degrees of freedom, B (S - 1) at most.
``python -m benchmarks.validity`` shows what intervals cover, beside a percentile bootstrap, which takes three
seeds for the whole population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mmbench.stats.paired import ROUNDING


@dataclass(frozen=True)
class Part:
    """A part of a variance, and with how many degrees of freedom it is known."""

    variance: float
    df: float


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
    bounds : tuple of tuple of Part
        Variances of the mean, each a sum of parts; the interval is the widest that one of them gives.
    patients : float
        The effective number of independent patients.
    reach : float
        The largest possible difference of two values; infinite where there is none.
    """

    value: float
    low: float
    high: float
    se: float
    df: float
    p: float
    trainings: int
    over: str
    bounds: tuple[tuple[Part, ...], ...] = ()
    patients: float = math.nan
    reach: float = math.inf

    @property
    def has_interval(self) -> bool:
        """Whether there was anything to tell the uncertainty from."""
        return self.df > 0

    @property
    def generalises(self) -> bool:
        """Whether the interval is over trainings, too, and not over the cases of single ones."""
        return len(self.bounds) > 1

    @property
    def constant(self) -> bool:
        """Whether nothing varied but by rounding: every training and every case says the same."""
        most = max((part.variance for parts in self.bounds for part in parts), default=0.0)
        return self.has_interval and math.sqrt(most) < 10.0**-ROUNDING

    def half_width(self, alpha: float) -> float:
        """Return half the width of the interval at a two-sided level; NaN where there is none."""
        if not self.has_interval:
            return math.nan
        if self.constant:
            # Without an exception in n patients, at most a share 1 - (alpha / 2)^(1 / n) of all differ
            # (Clopper and Pearson 1934), and no patient can move the mean by more than the reach.
            return float(self.reach * -math.expm1(math.log(alpha / 2) / self.patients))
        return max(critical_value(alpha, parts) * _error(parts) for parts in self.bounds)

    def p_of(self, distance: float) -> float:
        """Return the level at which the interval reaches just a distance (>= 0) to either side."""
        if not self.has_interval or math.isnan(distance):
            return math.nan
        if self.constant:
            share = min(distance / self.reach, 1.0)
            return float(min(1.0, 2 * (1 - share) ** self.patients))
        return max(_p_value(distance, parts) for parts in self.bounds)

    def at(self, alpha: float) -> Self:
        """Return the same estimate with the interval of another level."""
        half = self.half_width(alpha)
        return replace(self, low=self.value - half, high=self.value + half)

    def turned(self) -> Self:
        """Return the estimate of the negative value."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)

    def after(self, factor: float) -> Self:
        """Return what the estimate would be with ``factor`` times as many trainings, of the same spread."""
        if len(self.bounds) < 2:
            return self
        (of_trainings, *rest), *others = self.bounds
        more = Part(of_trainings.variance / factor, of_trainings.df * factor)
        return replace(self, bounds=((more, *rest), *others))


def mixed_estimate(
    values: np.ndarray, covariance: np.ndarray, patients: float, confidence: float = 0.95
) -> Estimate:
    """Return the mean over the trainings of one label budget, with an interval over trainings and patients.

    Parameters
    ----------
    values : ndarray
        The metric, or a difference of two methods' metrics, shape (subsets, seeds); NaN where a training
        is missing. Only a grid of subsets and seeds without gaps enters: whoever has most gaps is left out.
    covariance, patients, confidence
        As for :func:`mean_estimate`.
    """
    return mean_estimate([values], covariance, patients, confidence)


def mean_estimate(
    grids: Sequence[np.ndarray],
    covariance: np.ndarray,
    patients: float,
    confidence: float = 0.95,
    reach: float = math.inf,
) -> Estimate:
    """Return the mean over independent label budgets, with an interval over trainings and patients.

    Parameters
    ----------
    grids : sequence of ndarray
        The metric, or a difference, one grid of shape (subsets, seeds) per budget; NaN where a training is
        missing. Of each, the part without gaps enters (:func:`complete_part`).
    covariance : ndarray
        Of all values (grids flattened, one after another) under resampling of patients, square.
    patients : float
        How many independent patients were resampled, in effect; their degrees of freedom are one less.
    confidence : float
        In (0, 1).
    reach : float
        The largest possible difference of two values.

    Returns
    -------
    Estimate
        NaN if a budget has no training; without an interval if a budget out of several has one training,
        which tells nothing of others.
    """
    chosen, kept, start = [], [], 0
    for values in grids:
        subsets, seeds = complete_part(values)
        chosen.append(start + (subsets[:, None] * values.shape[1] + seeds[None, :]).ravel())
        kept.append(values[np.ix_(subsets, seeds)])
        start += values.size
    if not kept or any(grid.size == 0 for grid in kept):
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0.0, math.nan, 0, "")
    value, count = float(np.mean([grid.mean() for grid in kept])), sum(grid.size for grid in kept)
    over = described(kept)
    blocks = [[covariance[np.ix_(one, other)] for other in chosen] for one in chosen]
    bounds = _bounds(kept, blocks, patients)
    if not bounds or not all(part.df > 0 and part.variance >= 0 for parts in bounds for part in parts):
        return Estimate(value, math.nan, math.nan, math.nan, 0.0, math.nan, count, over, patients=patients)
    # With every part at 0 the reach decides; elsewhere the freedom of what varies between trainings counts.
    df = next((part.df for part in bounds[0] if part.variance > 0), bounds[-1][-1].df)
    error = max(_error(parts) for parts in bounds)
    found = Estimate(value, value, value, error, df, math.nan, count, over, bounds, patients, reach)
    return replace(found.at(1 - confidence), p=found.p_of(abs(value)))


def _error(parts: Sequence[Part]) -> float:
    return math.sqrt(sum(part.variance for part in parts))


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


def described(grids: Sequence[np.ndarray]) -> str:
    """Say in words what an interval over grids of (subsets, seeds), one per budget, generalises over."""
    subsets, seeds = (_counts({grid.shape[axis] for grid in grids}) for axis in (0, 1))
    each = "each of " if len(grids) > 1 else ""
    if all(grid.size == 1 for grid in grids):
        return f"cases of one training{f' at each of {len(grids)} budgets' if each else ''}"
    parts = ["cases"]
    if seeds != "1":
        parts.append(f"{seeds} seeds")
    if subsets != "1":
        parts.append(f"{subsets} labelled subsets")
    return f"{', '.join(parts[:-1])} and {parts[-1]}{f' at {each}{len(grids)} budgets' if each else ''}"


def _counts(numbers: set[int]) -> str:
    return str(min(numbers)) if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)}"


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


def _bounds(
    grids: Sequence[np.ndarray], blocks: Sequence[Sequence[np.ndarray]], patients: float
) -> tuple[tuple[Part, ...], ...]:
    """Return the variance of the mean in parts: over trainings and patients, and over patients alone.

    Empty where it cannot be told: one budget out of several has a single training.
    """
    budgets = len(grids)
    whole = float(np.mean([[block.mean() for block in row] for row in blocks]))
    if budgets == 1 and grids[0].size == 1:
        return ((Part(whole, patients - 1),),)
    if any(grid.size == 1 for grid in grids):
        return ()
    # Off the diagonal is what patients do to two trainings alike, Obuchowski and Rockette's Cov; the
    # diagonal's excess over it is a training's own case noise, which shrinks with the number of trainings.
    shared = np.array([[block.mean() for block in row] for row in blocks])
    for place, grid in enumerate(grids):
        shared[place, place] = blocks[place][place][~np.eye(grid.size, dtype=bool)].mean()
    common = max(float(shared.mean()), 0.0)
    own = max(whole - float(shared.mean()), 0.0)
    variances = [training_variance(grid) for grid in grids]
    variance = sum(part for part, _ in variances) / budgets**2
    squares = [(square / budgets**2, df) for _, own in variances for square, df in own]
    # Satterthwaite's rule for the sum of the mean squares, without the one that is taken off.
    uncertain = sum(square**2 / df for square, df in squares)
    df = sum(square for square, _ in squares) ** 2 / uncertain if uncertain > 0 else 1.0
    of_patients = Part(common, patients - 1)
    return (Part(variance, df), of_patients), (Part(common + own, patients - 1),)


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
