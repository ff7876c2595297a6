"""Weak augmentation: a flip and a reflect-padded crop, as one gather out of the dataset's tensor.

Random numbers are drawn on the CPU, so that a seed gives the same images on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.methods.batch import Geometry
from mmbench.protocol.schema import Augmentation
from mmbench.training.randaugment import strong

__all__ = ["Geometry", "draw_boxes", "draw_geometry", "gather", "strong"]

BOX_AREA = (0.02, 0.4)
"""A CutMix box's area as a share of the image's: UniMatch's (Yang et al. 2023, arXiv:2208.09910)."""
BOX_ASPECT = (0.3, 1 / 0.3)
"""Its height over its width, UniMatch's."""


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


def draw_boxes(count: int, side: int, probability: float, random: torch.Generator) -> Tensor:
    """Draw a box for each image of a batch, or none.

    Area and aspect ratio are uniform in :data:`BOX_AREA` and :data:`BOX_ASPECT`; a side that is longer than
    the image's is cut to it, and the box lies anywhere within the image.

    Parameters
    ----------
    count : int
        Number of images, B.
    side : int
        Their side S in pixels.
    probability : float
        That an image gets a box.
    random : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        bool, shape (B, S, S): True within the box.
    """
    given, area, aspect, top, left = torch.rand(5, count, 1, generator=random)
    area = side**2 * (BOX_AREA[0] + area * (BOX_AREA[1] - BOX_AREA[0]))
    aspect = BOX_ASPECT[0] + aspect * (BOX_ASPECT[1] - BOX_ASPECT[0])
    # From area = height x width and aspect = height / width.
    height, width = (sizes.sqrt().long().clamp(1, side) for sizes in (area * aspect, area / aspect))
    inside = []
    for size, place in ((height, top), (width, left)):
        first = (place * (side - size + 1)).long()
        positions = torch.arange(side)
        inside.append((positions >= first) & (positions < first + size))
    rows, columns = inside
    return rows[:, :, None] & columns[:, None, :] & (given < probability)[:, :, None]


def _reflect(positions: Tensor, side: int) -> Tensor:
    last = side - 1
    return last - (last - positions.abs()).abs()
