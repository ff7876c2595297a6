"""Checks of images: shapes, contrast, and whether they look like the others.

Every check returns the rows that are odd, int64 in ascending order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NO_ROWS = np.zeros(0, dtype=np.int64)
FEWEST = 8
"""Images from which on there is something to be unlike."""
_SHAPE_RATIO = 1.6
_SPREAD = 8.0
_CLIPPED = 0.5
_NEGATIVE = -0.2


def sizes(files: Sequence[Path | None]) -> np.ndarray:
    """Return width and height of each image file, from its header.

    Returns
    -------
    ndarray
        float64, shape (N, 2); NaN where Pillow does not know the format.
    """
    found = np.full((len(files), 2), np.nan)
    for row, path in enumerate(files):
        if path is not None:
            try:
                with Image.open(path) as image:
                    found[row] = image.size
            except (OSError, ValueError, SyntaxError):
                continue
    return found


def odd_sizes(found: np.ndarray) -> np.ndarray:
    """Return the images whose ratio of width to height is 1.6 times the median's, or its inverse."""
    ratio = found[:, 0] / found[:, 1]
    if np.isfinite(ratio).sum() < FEWEST:
        return NO_ROWS
    off = np.abs(np.log(ratio / np.nanmedian(ratio)))
    return np.flatnonzero(off > np.log(_SHAPE_RATIO))


def flat(images: np.ndarray) -> np.ndarray:
    """Return the images whose gray levels have a standard deviation below 8 of 255."""
    return np.flatnonzero([float(np.std(image)) < _SPREAD for image in images])


def clipped(images: np.ndarray) -> np.ndarray:
    """Return the images of which more than half is fully black or fully white."""
    share = [float(((image == 0) | (image == 255)).mean()) for image in images]
    return np.flatnonzero(np.array(share) > _CLIPPED)


def unlike_the_others(thumbnails: np.ndarray) -> np.ndarray:
    """Return the images whose thumbnail's correlation with the mean thumbnail is below -0.2.

    Chest radiographs of a set resemble their mean; a negative, or one that is turned, does not.

    Parameters
    ----------
    thumbnails : ndarray
        uint8, shape (N, 32, 32).
    """
    if len(thumbnails) < FEWEST:
        return NO_ROWS
    levels = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    levels -= levels.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(levels, axis=1)
    mean = np.median(levels, axis=0)
    correlation = levels @ mean / np.maximum(norms * np.linalg.norm(mean), 1e-12)
    return np.flatnonzero(correlation < _NEGATIVE)
