"""RandAugment's photometric operations, batched: lookup tables of 256 grey levels, and sharpness.

Each equals Pillow's operation on an 8-bit grey image to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

LEVELS = 256
MAGNITUDES = 10
LOOKUPS = ("brightness", "posterize", "solarize", "contrast", "autocontrast", "equalize")


def lookup(images: Tensor, operations: Sequence[str], magnitudes: Sequence[int]) -> Tensor:
    """Return images after one lookup-table operation each.

    Parameters
    ----------
    images : Tensor
        uint8, shape (K, S, S).
    operations : sequence of str
        Of each image, one of :data:`LOOKUPS`; images in the order of that tuple.
    magnitudes : sequence of int
        1 to 10, of each image.

    Returns
    -------
    Tensor
        uint8, shape (K, S, S).
    """
    # LOOKUPS begins with those whose tables are fixed; contrast, the last of them, takes the row of the
    # image's mean. The other two tables are computed from each image.
    pixels = images.flatten(1).long()
    contrast, stretched, equalized = (
        operations.count(name) for name in ("contrast", "autocontrast", "equalize")
    )
    fixed = len(operations) - stretched - equalized
    tables = []
    if fixed:
        rows = torch.tensor(
            [_first_row(*each) for each in zip(operations[:fixed], magnitudes[:fixed], strict=True)],
            device=images.device,
        )
        if contrast:
            rows[fixed - contrast :] += _rounded_means(pixels[fixed - contrast : fixed])
        tables.append(_fixed_tables(images.device).index_select(0, rows))
    if stretched:
        tables.append(_autocontrast(pixels[fixed : fixed + stretched]))
    if equalized:
        tables.append(_equalize(pixels[fixed + stretched :]))
    return torch.cat(tables).gather(1, pixels).view_as(images)


def sharpen(images: Tensor, magnitudes: Sequence[int]) -> Tensor:
    """Return images blended with their smoothed selves (factors below 1: softer).

    Parameters
    ----------
    images : Tensor
        uint8, shape (K, S, S).
    magnitudes : sequence of int
        1 to 10, of each image.

    Returns
    -------
    Tensor
        uint8, shape (K, S, S); the outermost pixels are as before.
    """
    # Pillow's smoothing kernel is ((1, 1, 1), (1, 5, 1), (1, 1, 1)) / 13: the sum of the 3 x 3 square, here
    # along one axis and then the other, and 4 times the centre.
    wide = images.short()
    lines = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    centres = wide[:, 1:-1, 1:-1]
    sums = lines[:, :, :-2] + lines[:, :, 1:-1] + lines[:, :, 2:] + 4 * centres
    # Pillow rounds sums / 13 to the nearest, floor((sums + 6.5) / 13). A whole number over 13 is never
    # closer than 1/26 to a tie, so float32's error cannot show.
    smooth = sums.float().add_(6.5).mul_(1 / 13).floor_()
    factors = torch.tensor([_factor(step) for step in magnitudes], device=images.device)
    blended = (centres - smooth).mul_(factors[:, None, None]).add_(smooth)
    sharpened = images.clone()
    sharpened[:, 1:-1, 1:-1] = blended
    return sharpened


def _factor(magnitude: int) -> float:
    return magnitude * 0.9 / MAGNITUDES + 0.05


def _first_row(operation: str, magnitude: int) -> int:
    """Return an operation's row in the fixed tables, for contrast that of an image with mean 0."""
    step = magnitude - 1
    if operation in ("brightness", "contrast"):
        return step * LEVELS
    return MAGNITUDES * (LEVELS + (operation == "solarize")) + step


@lru_cache(maxsize=16)
def _fixed_tables(device: torch.device) -> Tensor:
    """Return every table that does not depend on the image: (2580, 256), uint8.

    First the blends with a grey level, by magnitude and level: contrast blends with the image's mean,
    brightness with black. Then, by magnitude, posterize and solarize.
    """
    # Blend of level v with grey g: g + factor * (v - g). Posterize clears the low bits, keeping 4 + 4 m // 10
    # of 8. Solarize inverts levels from 256 - 256 m // 10 on.
    levels = np.arange(LEVELS, dtype=np.float32)
    steps = range(1, MAGNITUDES + 1)
    factors = np.array([_factor(step) for step in steps], dtype=np.float32)[:, None, None]
    blends = (levels[:, None] + factors * (levels - levels[:, None])).reshape(-1, LEVELS)
    whole = np.arange(LEVELS)
    lost_bits = np.array([4 - step * 4 // MAGNITUDES for step in steps])[:, None]
    thresholds = np.array([LEVELS - step * LEVELS // MAGNITUDES for step in steps])[:, None]
    solarized = np.where(whole < thresholds, whole, LEVELS - 1 - whole)
    tables = np.concatenate([blends, whole >> lost_bits << lost_bits, solarized])
    return torch.from_numpy(tables.astype(np.uint8)).to(device)


def _rounded_means(pixels: Tensor) -> Tensor:
    # floor(sum / n + 1/2) in whole numbers.
    size = pixels.shape[1]
    return (2 * pixels.sum(1) + size) // (2 * size)


def _autocontrast(pixels: Tensor) -> Tensor:
    levels = torch.arange(LEVELS, device=pixels.device, dtype=torch.float64)
    darkest, brightest = (extreme.double()[:, None] for extreme in pixels.aminmax(dim=1))
    # v -> (v - darkest) * 255 / (brightest - darkest), multiplied out as Pillow does, in float64.
    # A tensor over a tensor: a number over a tensor multiplies by the reciprocal and is off by a bit.
    scales = torch.full_like(darkest, LEVELS - 1) / (brightest - darkest)
    stretched = (levels * scales - darkest * scales).clamp_(0, LEVELS - 1)
    return torch.where(brightest > darkest, stretched, levels).to(torch.uint8)


def _equalize(pixels: Tensor) -> Tensor:
    # Pillow's table, with h the histogram of n pixels: step = (n - h[brightest]) // 255,
    #     table[v] = min(255, (step // 2 + sum(h[u] for u < v)) // step), or v where step is 0.
    ones = torch.ones(1, dtype=torch.int32, device=pixels.device).expand_as(pixels)
    counts = torch.zeros(len(pixels), LEVELS, dtype=torch.int32, device=pixels.device)
    counts.scatter_add_(1, pixels, ones)
    brightest = counts.gather(1, pixels.amax(1, keepdim=True))
    steps = (pixels.shape[1] - brightest) // (LEVELS - 1)
    below = counts.cumsum(1) - counts
    spread = ((steps // 2 + below) // steps.clamp(min=1)).clamp_(max=LEVELS - 1)
    levels = torch.arange(LEVELS, device=pixels.device)
    return torch.where(steps > 0, spread, levels).to(torch.uint8)
