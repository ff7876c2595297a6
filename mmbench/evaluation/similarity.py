"""Structural similarity of two binary masks.

The parameters are scikit-image's defaults (K1 = 0.01, K2 = 0.03, a uniform 7 x 7 window, sample
covariance, data range 1, the mean over the windows that lie inside the image), because that is what a
paper that prints "SSIM" without a word on the window most likely ran. Wang et al. 2004 weight an
11 x 11 window by a Gaussian instead.

Within a window, binary masks are described by three counts: pixels of one, of the other, of both. So the
sums of a window are whole numbers, its SSIM is looked up in a table, and windows that both masks miss
count as 1 without being visited.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmbench.evaluation.distances import bounding_box

WINDOW = 7
K1, K2 = 0.01, 0.03


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity of two masks, see the module's definition.

    In an image smaller than 7 pixels, the window is the largest odd one that fits. Two empty masks
    have 1; a mask against an empty one has what the formula gives.

    Parameters
    ----------
    one, other : ndarray
        bool, the same shape (H, W).

    Returns
    -------
    float
        In [-1, 1].
    """
    union = one | other
    if not union.any():
        return 1.0
    window = min(WINDOW, (min(one.shape) - 1) // 2 * 2 + 1)
    reach = window - 1
    region = tuple(slice(max(0, box.start - reach), box.stop + reach) for box in bounding_box(union))
    # The three counts as the digits of one number to the base area + 1, which no count reaches: sums of
    # such numbers over a window are sums of each digit, without a carry, so one pass sums all three.
    area = window**2
    codes = one[region].astype(np.int32)
    codes += other[region] * np.int32(area + 1)
    codes += (one[region] & other[region]) * np.int32((area + 1) ** 2)
    sums = _window_sums(_window_sums(codes, window).T, window)
    # SSIM is the mean over all windows; those outside the region are empty in both masks and have 1.
    visited = _table(window)[sums].sum()
    windows = (one.shape[0] - reach) * (one.shape[1] - reach)
    return float((visited + windows - sums.size) / windows)


def _window_sums(values: np.ndarray, window: int) -> np.ndarray:
    """Return the sums of ``window`` successive rows."""
    # The running sum may wrap around in a large image; its differences are right all the same.
    running = np.cumsum(values, axis=0, dtype=np.int32)
    sums = running[window - 1 :].copy()
    sums[1:] -= running[:-window]
    return sums


@lru_cache(maxsize=8)
def _table(window: int) -> np.ndarray:
    """Return the SSIM of a window by ``one + (area + 1) * other + (area + 1)**2 * both``."""
    # With p, q, r the shares of one, other and both in a window of A pixels, as x^2 = x for 0 and 1:
    #     mean x = p,    variance x = A / (A - 1) * (p - p^2),    covariance = A / (A - 1) * (r - p q),
    #     SSIM = (2 p q + C1) (2 covariance + C2) / ((p^2 + q^2 + C1) (variance x + variance y + C2)).
    area = window**2
    counts = np.arange(area + 1, dtype=np.float64) / area
    both, other, one = counts[:, None, None], counts[None, :, None], counts[None, None, :]
    sample = area / (area - 1) if area > 1 else 1.0
    variances = sample * (one - one**2 + other - other**2)
    covariance = sample * (both - one * other)
    c1, c2 = K1**2, K2**2
    luminance = (2 * one * other + c1) / (one**2 + other**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).ravel()
