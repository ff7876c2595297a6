"""Shapes and textures as functions of position, for many cases at once.

Fields are arrays of float32 of shape (B, S, S); a case's own numbers are arrays of shape (B, 1, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Field = NDArray[np.floating[Any]]
TEXTURE_REACH = 1.4
"""Textures cover the body from -1.4 to 1.4 along both axes."""


class Draws:
    """Named standard normal draws of a batch of cases, as arrays of shape (B, 1, 1)."""

    def __init__(self, names: Sequence[str], values: NDArray[np.float32]) -> None:
        self._columns = {name: index for index, name in enumerate(names)}
        self._values = values

    def normal(self, name: str) -> Field:
        """Return a draw cut off at two and a half standard deviations."""
        values: Field = np.clip(self._values[:, self._columns[name], None, None], -2.5, 2.5)
        return values

    def uniform(self, name: str) -> Field:
        """Return a draw spread evenly over (0, 1)."""
        values = ndtr(self._values[:, self._columns[name], None, None].astype(np.float64))
        even: Field = values.astype(np.float32)
        return even


def ramp(margin: Field, width: float | Field) -> Field:
    """Return 1 inside (margin > 0) and 0 outside, with a linear edge of the given width."""
    inside: Field = np.clip(margin / width + np.float32(0.5), 0, 1)
    return inside


def dome(margin: Field, width: float | Field) -> Field:
    """Return the chord of a round body: 0 at its border, 1 from ``width`` inwards."""
    chord: Field = np.sqrt(np.clip(margin / width, 0, 1))
    return chord


def ellipse(
    x: Field, y: Field, cx: Field | float, cy: Field | float, rx: Field | float, ry: Field | float
) -> Field:
    """Return about the distance to an upright ellipse's border, positive inside."""
    dx, dy = (x - cx) / rx, (y - cy) / ry
    q = np.sqrt(dx * dx + dy * dy)
    margin: Field = (1 - q) * np.minimum(rx, ry, dtype=np.float32)
    return margin


def join(one: Field, other: Field, blend: float) -> Field:
    """Return the margin of two shapes together, their notch filled over about ``blend``."""
    notch = np.clip(blend - np.abs(one - other), 0, blend)
    margin: Field = np.maximum(one, other) + notch * notch * (0.25 / blend)
    return margin


def turned(x: Field, y: Field, cx: Field, cy: Field, angle: Field) -> tuple[Field, Field]:
    """Return coordinates about a centre in axes turned by ``angle`` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = x - cx, y - cy
    return cos * dx + sin * dy, cos * dy - sin * dx


@lru_cache(maxsize=64)
def area_weights(size: int, parts: int) -> Field:
    """Return a (parts, size) matrix that averages ``size`` samples over ``parts`` equal intervals."""
    edges = np.linspace(0, size, parts + 1)
    index = np.arange(size)
    lower, upper = edges[:-1, None], edges[1:, None]
    overlap = np.clip(np.minimum(upper, index + 1) - np.maximum(lower, index), 0, None)
    weights: Field = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def shrink(fields: Field, parts: int) -> Field:
    """Return averages of (B, S, S) fields over parts x parts equal squares.

    The sums are written out, here and in :func:`grow`, because a threaded matrix product gives other
    last digits with another number of threads.
    """
    weights = area_weights(fields.shape[-1], parts)
    for axis in (1, 2):
        fields = np.stack([_weighted_sum(fields, row, axis) for row in weights], axis=axis)
    return fields


def _weighted_sum(fields: Field, weights: Field, axis: int) -> Field:
    used = np.flatnonzero(weights)
    span = slice(used[0], used[-1] + 1)
    if axis == 1:
        rows: Field = (fields[:, span] * weights[span, None]).sum(axis=1)
        return rows
    columns: Field = (fields[:, :, span] * weights[span]).sum(axis=2)
    return columns


def grow(grids: Field, size: int, border: float) -> Field:
    """Return (B, S, S) cubic B-spline surfaces of (B, n, n) coefficients.

    Parameters
    ----------
    grids : array of float32, shape (B, n, n)
        Coefficients, one per knot.
    size : int
        S, the side of the raster.
    border : float
        How many knots, at least 1, lie outside the raster on either side.
    """
    knots = grids.shape[-1]
    position = (np.arange(size) + 0.5) / size * (knots - 1 - 2 * border) + border
    start = np.floor(position).astype(np.intp) - 1
    t = position - np.floor(position)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    taps = [(start + k, (piece / 6).astype(np.float32)) for k, piece in enumerate(pieces)]
    rows = sum(grids[:, index] * weight[:, None] for index, weight in taps)
    surface: Field = sum(np.take(rows, index, axis=2) * weight for index, weight in taps)
    return surface


def spline_noise(grids: Field, size: int) -> Field:
    """Return smooth noise of about unit variance on a size x size raster from white coefficients."""
    noise: Field = grow(grids, size, 1.0) * np.float32(1 / 0.48)
    return noise


class Texture:
    """Noise fields fixed to the body, looked up at body coordinates."""

    def __init__(self, x: Field, y: Field, raster: int) -> None:
        batch = x.shape[0]
        scale = np.float32(raster / (2 * TEXTURE_REACH))
        limit = np.float32(raster - 1.001)
        column = np.clip((x + TEXTURE_REACH) * scale - np.float32(0.5), 0, limit)
        row = np.clip((y + TEXTURE_REACH) * scale - np.float32(0.5), 0, limit)
        left, top = column.astype(np.int32), row.astype(np.int32)
        # int32 would turn the differences into float64
        self._right, self._down = column - left.astype(np.float32), row - top.astype(np.float32)
        offset = (np.arange(batch, dtype=np.int32) * (raster * raster))[:, None, None]
        self._index = offset + top * raster + left
        self._raster = raster

    def sample(self, noise: Field) -> Field:
        """Return the bilinear values of a (B, raster, raster) noise field."""
        flat = noise.reshape(-1)
        index, right, down = self._index, self._right, self._down
        first, second = flat[index], flat[index + self._raster]
        upper = first + right * (flat[index + 1] - first)
        lower = second + right * (flat[index + (self._raster + 1)] - second)
        values: Field = upper + down * (lower - upper)
        return values
