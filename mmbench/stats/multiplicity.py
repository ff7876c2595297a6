"""Many tests, one error rate."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p-values (Holm 1979, step-down Bonferroni).

    Parameters
    ----------
    p : ndarray
        The family's p-values, shape (m,); NaN stands for a test that could not be made and does not
        count.

    Returns
    -------
    ndarray
        In [0, 1], shape (m,); NaN where ``p`` is.
    """
    adjusted = np.full(len(p), np.nan)
    made = np.flatnonzero(np.isfinite(p))
    ordered = made[np.argsort(p[made], kind="stable")]
    stepped = p[ordered] * (len(ordered) - np.arange(len(ordered)))
    adjusted[ordered] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted
