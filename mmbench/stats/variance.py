"""Where a score's variance comes from: labelled subset, seed, test case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VarianceBudget:
    """Components of the variance of one training's score on one domain.

    A score on these cases by this training differs from the expected one because of the labelled subset, the
    seed, both together, the cases that happened to be in the test part, and the rest: what a training
    does to single cases.

    Attributes
    ----------
    subset, seed, subset_seed : float
        Variance between trainings; NaN where a factor has one level. With one subset or one seed,
        ``subset_seed`` cannot be separated from the factor that varies and is NaN.
    case : float
        Variance from the choice of test patients that all trainings share.
    residual : float
        Variance from the choice of test patients that is a training's own.
    """

    subset: float
    seed: float
    subset_seed: float
    case: float
    residual: float

    @property
    def components(self) -> dict[str, float]:
        """Components by name, in the order of tables."""
        return {
            "subset": self.subset,
            "seed": self.seed,
            "subset x seed": self.subset_seed,
            "case": self.case,
            "residual": self.residual,
        }


def variance_budget(values: np.ndarray, resampled: np.ndarray) -> VarianceBudget:
    """Estimate the components from a crossed design by expected mean squares.

    The spread between trainings holds their own case noise (``residual``), which is taken off; an
    estimate below 0 is set to 0.

    Parameters
    ----------
    values : ndarray
        The metric by training, shape (subsets, seeds); subsets and seeds with gaps are left out.
    resampled : ndarray
        The same on resampled patients, shape (resamples, subsets, seeds).
    """
    from mmbench.stats.mixed import complete_part

    subsets, seeds = complete_part(values)
    grid = values[np.ix_(subsets, seeds)]
    if grid.size == 0:
        return VarianceBudget(*(math.nan,) * 5)
    replicates = resampled[:, subsets][:, :, seeds].reshape(len(resampled), -1)
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    if grid.size == 1:
        return VarianceBudget(math.nan, math.nan, math.nan, float(replicates.var(ddof=1)), math.nan)
    covariance = np.cov(replicates, rowvar=False)
    shared = float(covariance[~np.eye(grid.size, dtype=bool)].mean())
    own = max(float(np.diag(covariance).mean()) - shared, 0.0)
    of_subset, of_seed, of_both = _between(grid, own)
    return VarianceBudget(of_subset, of_seed, of_both, max(shared, 0.0), own)


def _between(grid: np.ndarray, own: float) -> tuple[float, float, float]:
    count_subsets, count_seeds = grid.shape
    if min(grid.shape) == 1:
        between = max(float(grid.var(ddof=1)) - own, 0.0)
        return (between, math.nan, math.nan) if count_seeds == 1 else (math.nan, between, math.nan)
    mean, by_subset, by_seed = grid.mean(), grid.mean(1, keepdims=True), grid.mean(0, keepdims=True)
    ms_subset = count_seeds * float(((by_subset - mean) ** 2).sum()) / (count_subsets - 1)
    ms_seed = count_subsets * float(((by_seed - mean) ** 2).sum()) / (count_seeds - 1)
    left = float(((grid - by_subset - by_seed + mean) ** 2).sum())
    ms_rest = left / ((count_subsets - 1) * (count_seeds - 1))
    return (
        max((ms_subset - ms_rest) / count_seeds, 0.0),
        max((ms_seed - ms_rest) / count_subsets, 0.0),
        max(ms_rest - own, 0.0),
    )
