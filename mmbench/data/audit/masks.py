"""Checks of masks: bool arrays of shape (N, S, S).

Every check returns the places that are odd, int64 in ascending order.
"""

from __future__ import annotations

import numpy as np

from mmbench.data.audit.images import FEWEST, NO_ROWS
from mmbench.data.imaging import is_nearly_full, looks_inverted

_AIR = 10
"""Gray level up to which the outside of a body is black."""
_OUTSIDE = 0.2
_SMALL = 0.02
_LEAST_DICE = 0.3


def empty(masks: np.ndarray) -> np.ndarray:
    """Return the masks without foreground."""
    return np.flatnonzero(~masks.any(axis=(1, 2)))


def full(masks: np.ndarray) -> np.ndarray:
    """Return the masks that cover more of the image than organs of the chest do."""
    return np.flatnonzero([is_nearly_full(mask) for mask in masks])


def at_the_border(masks: np.ndarray) -> np.ndarray:
    """Return the masks that most of the image's border belongs to, those that are nearly full aside."""
    return np.flatnonzero([looks_inverted(mask) and not is_nearly_full(mask) for mask in masks])


def outside_the_body(masks: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the masks of which more than 20 % lies in black that reaches the image's border.

    Parameters
    ----------
    masks : ndarray
        bool, shape (N, S, S).
    images : ndarray
        uint8, shape (N, S, S).
    """
    return np.flatnonzero(
        [
            bool(mask.any()) and float(_air(image)[mask].mean()) > _OUTSIDE
            for mask, image in zip(masks, images, strict=True)
        ]
    )


def unlike_the_others(masks: np.ndarray) -> np.ndarray:
    """Return the masks whose Dice with the place that half of all masks share is below 0.3."""
    filled = masks[masks.any(axis=(1, 2))]
    if len(filled) < FEWEST:
        return NO_ROWS
    usual = filled.mean(axis=0) >= 0.5
    if not usual.any():
        return NO_ROWS
    dice = [2 * (mask & usual).sum() / max(1, mask.sum() + usual.sum()) for mask in masks]
    return np.flatnonzero((np.array(dice) < _LEAST_DICE) & masks.any(axis=(1, 2)))


def not_two_lungs(masks: np.ndarray) -> np.ndarray:
    """Return the masks with foreground but without two parts of at least 2 % of the image in either half.

    Lungs that touch are told apart by the halves: each must hold at least 2 % of the image.
    """
    half = masks.shape[2] // 2
    area = masks.shape[1] * masks.shape[2]
    left, right = masks[:, :, :half].sum(axis=(1, 2)), masks[:, :, half:].sum(axis=(1, 2))
    return np.flatnonzero((np.minimum(left, right) < _SMALL * area) & masks.any(axis=(1, 2)))


def _air(image: np.ndarray) -> np.ndarray:
    """Return the black pixels that are connected to the image's border."""
    from scipy.ndimage import label

    regions, _ = label(image <= _AIR)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    found: np.ndarray = np.isin(regions, np.setdiff1d(edge, [0]))
    return found
