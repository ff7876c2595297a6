"""One number for many trainings, after Agarwal et al. 2021 (arXiv:2108.13264)."""

from __future__ import annotations

import math

import numpy as np


def interquartile_mean(values: np.ndarray) -> float:
    """Return the mean of the middle half: a quarter of the values is cut off at each end.

    Parameters
    ----------
    values : ndarray
        Any shape; NaN counts as not there.

    Returns
    -------
    float
        NaN without values.
    """
    from scipy import stats

    kept = values[np.isfinite(values)]
    return float(stats.trim_mean(kept, 0.25)) if kept.size else math.nan


def performance_profile(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of trainings above each threshold.

    Parameters
    ----------
    values : ndarray
        One per training, shape (R,).
    thresholds : ndarray
        Shape (T,).
    """
    shares: np.ndarray = (values[:, None] > thresholds[None, :]).mean(axis=0)
    return shares


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> float:
    """Return the probability that a training of one method beats a training of another.

    Parameters
    ----------
    a, b : ndarray
        Higher is better, shapes (R,) and (Q,); not paired.

    Returns
    -------
    float
        Ties counted one half; NaN without values.
    """
    if not a.size or not b.size:
        return math.nan
    gaps = a[:, None] - b[None, :]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)
