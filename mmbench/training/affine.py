"""RandAugment's geometric operations, batched: rotation, shear and translation.

The arithmetic is that of Pillow's nearest-neighbour affine transform (16.16 fixed point, the source of
a pixel's centre, black outside the image), so that the result is Pillow's to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

ONE = 1 << 16
Matrix = tuple[float, float, float, float, float, float]


def _rotate(magnitude: int, sign: int, side: int) -> Matrix:
    angle = -math.radians(sign * int(magnitude * 30 / 10))
    # Rounded as Pillow rounds them.
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    # Source = R (p - centre) + centre, R = ((cos, sin), (-sin, cos)).
    centre = side / 2
    return (
        cosine, sine, centre - cosine * centre - sine * centre,
        -sine, cosine, centre + sine * centre - cosine * centre,
    )  # fmt: skip


def _shear_x(magnitude: int, sign: int, side: int) -> Matrix:
    return (1, sign * magnitude * 0.3 / 10, 0, 0, 1, 0)


def _shear_y(magnitude: int, sign: int, side: int) -> Matrix:
    return (1, 0, 0, sign * magnitude * 0.3 / 10, 1, 0)


def _translate_x(magnitude: int, sign: int, side: int) -> Matrix:
    return (1, 0, int(sign * magnitude * 0.3 / 10 * side), 0, 1, 0)


def _translate_y(magnitude: int, sign: int, side: int) -> Matrix:
    return (1, 0, 0, 0, 1, int(sign * magnitude * 0.3 / 10 * side))


MATRICES: dict[str, Callable[[int, int, int], Matrix]] = {
    "rotate": _rotate,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
"""From (magnitude 1 to 10, sign, side in pixels) to the matrix that takes a pixel to its source."""


@lru_cache(maxsize=4096)
def coefficients(operation: str, magnitude: int, sign: int, side: int) -> tuple[int, ...]:
    """Return an operation's matrix in fixed point, moved to the centre of the first pixel.

    Parameters
    ----------
    operation : str
        A key of :data:`MATRICES`.
    magnitude : int
        1 to 10.
    sign : int
        -1 or 1: the direction.
    side : int
        Of the image, in pixels.
    """
    a, b, c, d, e, f = MATRICES[operation](magnitude, sign, side)
    # Pixel (x, y) has its centre at (x + 1/2, y + 1/2); the halves join the offsets:
    #     a (x + 1/2) + b (y + 1/2) + c = a x + b y + (c + a/2 + b/2).
    exact = (a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5)
    return tuple(math.floor(value * ONE + 0.5) for value in exact)


def resample(images: Tensor, matrices: Tensor) -> Tensor:
    """Return images moved by an affine matrix each.

    Parameters
    ----------
    images : Tensor
        uint8, shape (K, S, S).
    matrices : Tensor
        int32, shape (K, 6): :func:`coefficients` of each image.

    Returns
    -------
    Tensor
        uint8, shape (K, S, S).
    """
    side = images.shape[-1]
    steps = torch.arange(side, dtype=torch.int32, device=images.device)
    by_column, by_row, offset = matrices.view(-1, 2, 3, 1).unbind(2)
    sources = (by_column * steps)[:, :, None, :] + (by_row * steps + offset)[:, :, :, None]
    # Shifting 16 bits off is floor(source), for negative numbers, too: the pixel that the source lies in.
    columns, rows = sources.bitwise_right_shift_(16).clamp_(-1, side).unbind(1)
    # A black frame of one pixel takes every source outside the image, which clamping moved to -1 or S. In
    # the framed image (row, column) is at (row + 1) (S + 2) + column + 1 = row (S + 2) + column + S + 3.
    framed = pad(images, (1, 1, 1, 1)).flatten(1)
    places = rows.mul_(side + 2).add_(columns).add_(side + 3).flatten(1).long()
    return framed.gather(1, places).view_as(images)
