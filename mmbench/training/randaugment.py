"""Strong augmentation: RandAugment over FixMatch's pool without Color, batched on the device.

Each image gets ``operations`` operations one after the other, drawn with replacement from the pool, each
with its own magnitude from 1 to 10, direction and, where ``probability`` is below 1, chance of being
left out. The parameters are FixMatch's: brightness, contrast and sharpness factors 0.05 + 0.09 m (below
1: darker, flatter, softer), posterize to 4 + 0.4 m bits, solarize from 256 - 25.6 m, rotation 3 m
degrees, shear 0.03 m, translation 0.03 m of the side; black comes in at the borders.

References
----------
Cubuk et al. 2020, RandAugment, arXiv:1909.13719. Sohn et al. 2020, FixMatch, arXiv:2001.07685.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.protocol.schema import StrongAugmentation
from mmbench.training.affine import MATRICES, coefficients, resample
from mmbench.training.photometric import LOOKUPS, MAGNITUDES, lookup, sharpen

POOL = (*LOOKUPS, "sharpness", *MATRICES, "identity")
INTENSITIES = (*LOOKUPS, "sharpness", "identity")
"""The operations that leave every pixel in its place."""
GREY = 127


@dataclass(frozen=True)
class Operation:
    """One operation on one image.

    Attributes
    ----------
    name : str
        One of :data:`POOL`.
    magnitude : int
        1 to 10.
    sign : int
        -1 or 1: the direction of a geometric operation.
    """

    name: str
    magnitude: int
    sign: int


def strong(
    images: Tensor, random: torch.Generator, settings: StrongAugmentation, *, intensities: bool = False
) -> Tensor:
    """Return strongly augmented copies.

    Parameters
    ----------
    images : Tensor
        uint8, shape (B, S, S).
    random : torch.Generator
        On the CPU, so that a seed gives the same images on every device.
    settings : StrongAugmentation
        Number of operations, their probability, cutout.
    intensities : bool
        Draw from :data:`INTENSITIES` only; nothing is cut out either.

    Returns
    -------
    Tensor
        uint8, shape (B, S, S).
    """
    images = images.clone()
    pool = INTENSITIES if intensities else POOL
    for operations in draw_operations(len(images), random, settings, pool):
        apply(images, operations)
    if settings.cutout and not intensities:
        cut_out(images, random)
    return images


def draw_operations(
    count: int, random: torch.Generator, settings: StrongAugmentation, pool: Sequence[str] = POOL
) -> list[list[Operation]]:
    """Return what each of ``count`` images gets, in turn; an operation left out is an identity."""
    shape = (settings.operations, count)
    names = torch.randint(len(pool), shape, generator=random)
    magnitudes = torch.randint(1, MAGNITUDES + 1, shape, generator=random)
    # What is left out is drawn all the same, so ``probability`` changes nothing about the rest.
    signs = torch.randint(2, shape, generator=random) * 2 - 1
    left_out = torch.rand(shape, generator=random) >= settings.probability
    names[left_out] = pool.index("identity")
    return [
        [Operation(pool[name], *rest) for name, *rest in zip(*turn, strict=True)]
        for turn in zip(names.tolist(), magnitudes.tolist(), signs.tolist(), strict=True)
    ]


def apply(images: Tensor, operations: Sequence[Operation]) -> None:
    """Apply one operation to each image, in place; images with an identity are not touched.

    Parameters
    ----------
    images : Tensor
        uint8, shape (B, S, S).
    operations : sequence of Operation
        One for each image.
    """
    touched = [place for place, operation in enumerate(operations) if operation.name != "identity"]
    if not touched:
        return
    # In the order of the pool, so that each kind's images are one slice: tables, sharpness, then geometry.
    touched.sort(key=lambda place: POOL.index(operations[place].name))
    chosen = [operations[place] for place in touched]
    names, magnitudes = [o.name for o in chosen], [o.magnitude for o in chosen]
    looked_up = sum(name in LOOKUPS for name in names)
    sharpened = looked_up + names.count("sharpness")

    index = torch.tensor(touched, device=images.device)
    picked = images.index_select(0, index)
    done = []
    if looked_up:
        done.append(lookup(picked[:looked_up], names[:looked_up], magnitudes[:looked_up]))
    if sharpened > looked_up:
        done.append(sharpen(picked[looked_up:sharpened], magnitudes[looked_up:sharpened]))
    if len(chosen) > sharpened:
        side = images.shape[-1]
        matrices = [coefficients(o.name, o.magnitude, o.sign, side) for o in chosen[sharpened:]]
        fixed = torch.tensor(matrices, dtype=torch.int32, device=images.device)
        done.append(resample(picked[sharpened:], fixed))
    images.index_copy_(0, index, torch.cat(done))


def cut_out(images: Tensor, random: torch.Generator) -> None:
    """Turn a random square of each image grey (127), in place.

    The square's side is uniform up to half the image's, its centre anywhere in the image; what would
    lie above or left of the image is moved in, what would lie below or right of it is cut off.

    Parameters
    ----------
    images : Tensor
        uint8, shape (B, S, S).
    random : torch.Generator
        On the CPU.
    """
    side = images.shape[-1]
    # From draws u, v, w in [0, 1): length = floor(u S / 2), first row = floor(max(0, v S - length / 2)).
    size, row, column = torch.rand(3, len(images), generator=random)
    lengths = (size * side / 2).int()
    ends = []
    for centres in (row * side, column * side):
        # Cut off at 0 before adding the length, so that a square near the top or left keeps its size.
        first = (centres - lengths / 2).clamp(min=0).int()
        ends += [first, first + lengths]
    top, bottom, left, right = torch.stack(ends).to(images.device)[:, :, None]
    places = torch.arange(side, device=images.device)
    rows, columns = (places >= top) & (places < bottom), (places >= left) & (places < right)
    images.masked_fill_(rows[:, :, None] & columns[:, None, :], GREY)
