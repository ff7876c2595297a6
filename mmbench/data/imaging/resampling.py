"""From gray levels and masks of any size to squares."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from mmbench.data.imaging.gray import Gray


def to_square(gray: Gray, size: int) -> np.ndarray:
    """Return the image squashed to a square by area averaging, scaled so that white is 255.

    The aspect ratio is not kept, as in the publications. A side that has to grow is interpolated linearly.

    Parameters
    ----------
    gray : Gray
        The decoded image.
    size : int
        Side of the square in pixels.

    Returns
    -------
    ndarray
        uint8, shape (size, size).
    """
    levels = _resample(gray.levels, size) * (255 / gray.white)
    # Rounding first to 6 decimals makes ties fall alike whatever the order of summation.
    return np.clip(np.rint(np.round(levels, 6)), 0, 255).astype(np.uint8)


def mask_to_square(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a mask squashed to a square: a pixel is foreground if at least half of its area is.

    Parameters
    ----------
    mask : ndarray
        bool, shape (H, W).
    size : int
        Side of the square in pixels.

    Returns
    -------
    ndarray
        uint8 in {0, 1}, shape (size, size).
    """
    # The average is exact but for rounding, so that a tie needs a small tolerance.
    return (_resample(mask, size) >= 0.5 - 1e-6).astype(np.uint8)


def _resample(levels: np.ndarray, size: int) -> np.ndarray:
    height, width = levels.shape
    levels = levels.astype(np.float64)
    if height > size:
        levels = _area_weights(height, size) @ levels
    if width > size:
        levels = (_area_weights(width, size) @ levels.T).T
    if levels.shape != (size, size):
        image = Image.fromarray(levels.astype(np.float32))
        levels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64)
    return levels


@lru_cache(maxsize=64)
def _area_weights(length: int, size: int) -> Any:
    """Return the sparse matrix that averages ``length`` pixels over ``size`` equal stretches.

    Fractions of pixels count as such; Pillow's box filter takes every pixel whole or not at all, which
    shifts edges when the ratio of the sizes is no whole number.
    """
    from scipy.sparse import csr_array

    edges = np.arange(size + 1) * (length / size)
    pixels = np.arange(length)
    rows, columns, shares = [], [], []
    for row in range(size):
        low, high = edges[row], edges[row + 1]
        inside = pixels[int(low) : min(length, int(np.ceil(high)))]
        share = np.minimum(inside + 1, high) - np.maximum(inside, low)
        rows.append(np.full(len(inside), row))
        columns.append(inside)
        shares.append(share * (size / length))
    values = np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(values, shape=(size, length))
