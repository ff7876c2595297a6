"""Bootstrap by patients, and by subsets, seeds and patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbench.stats.resampling import patient_weights

_CHUNK = 500


@dataclass(frozen=True)
class PairedBootstrap:
    """Means of several methods over the same resampled patients.

    Attributes
    ----------
    means : ndarray
        On the cases as they are, shape (methods,).
    resampled : ndarray
        On resampled patients, shape (resamples, methods).
    confidence : float
        Of the intervals.
    """

    means: np.ndarray
    resampled: np.ndarray
    confidence: float

    def difference(self, a: int, b: int) -> tuple[float, float, float]:
        """Return the difference of two methods' means, a - b, and its percentile interval."""
        tail = (1 - self.confidence) / 2
        gaps = self.resampled[:, a] - self.resampled[:, b]
        low, high = np.quantile(gaps, [tail, 1 - tail])
        return float(self.means[a] - self.means[b]), float(low), float(high)


def paired_bootstrap(
    scores: np.ndarray,
    patients: np.ndarray,
    rng: np.random.Generator,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> PairedBootstrap:
    """Resample patients, the same for all methods, and average their cases' scores.

    Parameters
    ----------
    scores : ndarray
        Per case and method, shape (N, methods).
    patients : ndarray
        Codes 0..P-1, shape (N,).
    rng : Generator
        The random stream.
    resamples : int
        How often.
    confidence : float
        Of the intervals.
    """
    # A patient's cases enter together, so patients' sums are all that is needed.
    count = int(patients.max()) + 1
    sums = np.stack([np.bincount(patients, column, count) for column in scores.T], axis=1)
    table = np.column_stack([sums, np.bincount(patients, minlength=count)])
    totals = []
    for start in range(0, resamples, _CHUNK):
        drawn = rng.integers(count, size=(min(_CHUNK, resamples - start), count), dtype=np.int32)
        drawn += (np.arange(len(drawn), dtype=np.int32) * count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=len(drawn) * count).reshape(len(drawn), count)
        totals.append(counts.astype(np.float64) @ table)
    whole = np.concatenate(totals)
    return PairedBootstrap(scores.mean(axis=0), whole[:, :-1] / whole[:, -1:], confidence)


def hierarchical_bootstrap(
    values: np.ndarray, patients: np.ndarray, rng: np.random.Generator, resamples: int = 2000
) -> np.ndarray:
    """Resample labelled subsets, seeds and patients together, and return the means.

    Each factor is drawn anew with replacement and applied to all others (Owen 2007,
    doi:10.1214/07-AOAS122). With few levels its percentiles are too narrow: the variance of n levels
    comes out (n - 1) / n times too small, and quantiles know nothing of the t distribution.

    Parameters
    ----------
    values : ndarray
        Per-case scores, shape (subsets, seeds, N).
    patients : ndarray
        Codes 0..P-1, shape (N,).
    rng : Generator
        The random stream.
    resamples : int
        How often.

    Returns
    -------
    ndarray
        Means, shape (resamples,).
    """
    subsets, seeds, _ = values.shape
    weights = patient_weights(patients, resamples, rng).astype(np.float64)
    by_training = np.einsum("bn,dsn->bds", weights, values, optimize=True) / weights.sum(1)[:, None, None]
    of_subset = rng.multinomial(subsets, np.full(subsets, 1 / subsets), size=resamples) / subsets
    of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    means: np.ndarray = np.einsum("bds,bd,bs->b", by_training, of_subset, of_seed)
    return means
