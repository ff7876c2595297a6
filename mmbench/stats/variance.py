"""Where a score's variance comes from: label draw, seed, test case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VarianceBudget:
    """Components of the variance of one training's score on one domain.

    A score on these cases by this training differs from the expected one because of the label draw, the
    seed, both together, the cases that happened to be in the test part, and the rest: what a training
    does to single cases.

    Attributes
    ----------
    draw, seed, draw_seed : float
        Variance between trainings; NaN where a factor has one level. With one draw or one seed,
        ``draw_seed`` cannot be told from the factor that varies and is NaN.
    case : float
        Variance from the choice of test patients that all trainings share.
    residual : float
        Variance from the choice of test patients that is a training's own.
    """

    draw: float
    seed: float
    draw_seed: float
    case: float
    residual: float

    @property
    def components(self) -> dict[str, float]:
        """Components by name, in the order of tables."""
        return {
            "draw": self.draw,
            "seed": self.seed,
            "draw x seed": self.draw_seed,
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
        The metric by training, shape (draws, seeds); draws and seeds with gaps are left out.
    resampled : ndarray
        The same on resampled patients, shape (resamples, draws, seeds).
    """
    from mmbench.stats.mixed import complete_part

    draws, seeds = complete_part(values)
    grid = values[np.ix_(draws, seeds)]
    if grid.size == 0:
        return VarianceBudget(*(math.nan,) * 5)
    replicates = resampled[:, draws][:, :, seeds].reshape(len(resampled), -1)
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    if grid.size == 1:
        return VarianceBudget(math.nan, math.nan, math.nan, float(replicates.var(ddof=1)), math.nan)
    covariance = np.cov(replicates, rowvar=False)
    shared = float(covariance[~np.eye(grid.size, dtype=bool)].mean())
    own = max(float(np.diag(covariance).mean()) - shared, 0.0)
    of_draw, of_seed, of_both = _between(grid, own)
    return VarianceBudget(of_draw, of_seed, of_both, max(shared, 0.0), own)


def _between(grid: np.ndarray, own: float) -> tuple[float, float, float]:
    count_draws, count_seeds = grid.shape
    if min(grid.shape) == 1:
        between = max(float(grid.var(ddof=1)) - own, 0.0)
        return (between, math.nan, math.nan) if count_seeds == 1 else (math.nan, between, math.nan)
    mean, by_draw, by_seed = grid.mean(), grid.mean(1, keepdims=True), grid.mean(0, keepdims=True)
    ms_draw = count_seeds * float(((by_draw - mean) ** 2).sum()) / (count_draws - 1)
    ms_seed = count_draws * float(((by_seed - mean) ** 2).sum()) / (count_seeds - 1)
    left = float(((grid - by_draw - by_seed + mean) ** 2).sum())
    ms_rest = left / ((count_draws - 1) * (count_seeds - 1))
    return (
        max((ms_draw - ms_rest) / count_seeds, 0.0),
        max((ms_seed - ms_rest) / count_draws, 0.0),
        max(ms_rest - own, 0.0),
    )
