"""Weak augmentation: a flip and a reflect-padded crop, as one gather out of the dataset's tensor.

Random numbers are drawn on the CPU, so that a seed gives the same images on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.protocol.schema import Augmentation
from mmbench.training.randaugment import strong

__all__ = ["Geometry", "draw_geometry", "gather", "strong"]


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a batch come from.

    Attributes
    ----------
    rows, columns : Tensor
        int64 on the CPU, shape (B, S): the source row of each row, the source column of each column.
    """

    rows: Tensor
    columns: Tensor


def draw_geometry(count: int, side: int, random: torch.Generator, augmentation: Augmentation) -> Geometry:
    """Draw the flips and crops of a batch.

    Each image is flipped left to right with probability 1/2, padded by reflection (without repeating
    the border) by ``round(crop * side)`` pixels, and cropped to its size at a random place.

    Parameters
    ----------
    count : int
        Number of images, B.
    side : int
        Their side S in pixels.
    random : torch.Generator
        On the CPU.
    augmentation : Augmentation
        ``flip`` and ``crop``.
    """
    reach = round(augmentation.crop * side)
    flips = torch.rand(count, generator=random) < 0.5
    shifts = torch.randint(-reach, reach + 1, (2, count, 1), generator=random)
    rows, columns = _reflect(torch.arange(side) + shifts, side)
    if augmentation.flip:
        columns = torch.where(flips[:, None], side - 1 - columns, columns)
    return Geometry(rows, columns)


def gather(images: Tensor, rows: Tensor, geometry: Geometry) -> Tensor:
    """Return some of the images, moved as a geometry says.

    Images and masks gathered with the same geometry stay aligned.

    Parameters
    ----------
    images : Tensor
        Contiguous, shape (N, S, S), of any type.
    rows : Tensor
        int64, shape (B,): which images.
    geometry : Geometry
        Of B images of side S.

    Returns
    -------
    Tensor
        Shape (B, S, S), on the device and of the type of ``images``.
    """
    side = images.shape[-1]
    lines = rows.to(images.device)[:, None] * side + geometry.rows.to(images.device)
    picked = images.view(-1, side).index_select(0, lines.flatten()).view(-1, side, side)
    columns = geometry.columns.to(images.device)[:, None, :].expand_as(picked)
    return picked.gather(2, columns)


def _reflect(positions: Tensor, side: int) -> Tensor:
    last = side - 1
    return last - (last - positions.abs()).abs()
