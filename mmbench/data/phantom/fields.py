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


@lru_cache(maxsize=64)
def spline_basis(size: int, knots: int) -> Field:
    """Return a (size, knots) matrix of cubic B-splines evaluated at ``size`` evenly spaced points."""
    position = (np.arange(size) + 0.5) / size * (knots - 3) + 1
    distance = np.abs(position[:, None] - np.arange(knots)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    basis: Field = np.where(distance < 1, near, far).astype(np.float32)
    return basis


def spline_noise(grids: NDArray[np.float32], size: int) -> Field:
    """Return smooth noise of about unit variance on a size x size raster from white coefficient grids."""
    basis = spline_basis(size, grids.shape[-1])
    noise: Field = np.matmul(np.matmul(basis, grids), basis.T) * np.float32(1 / 0.48)
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
