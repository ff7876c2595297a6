"""One case of a listing: image and masks decoded, resized and digested, and what was decided of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.data import imaging
from mmbench.data.fingerprints import THUMBNAIL, pixel_digest
from mmbench.data.readers.contract import RawCase, Reader
from mmbench.errors import DataError
from mmbench.files import digest_json
from mmbench.protocol.vocabulary import STRUCTURE_NAMES

DIGEST_VERSION = 2
"""Raised whenever the digest of a case with the same pixels changes."""
EMPTY_MASK = "images have an empty mask"
_ONE_SIDED = "images have an empty mask of one lung"


@dataclass(frozen=True)
class Decoded:
    """What an entry holds of one case.

    Attributes
    ----------
    image : ndarray
        uint8, shape (S, S).
    thumbnail : ndarray
        uint8, shape (32, 32).
    pixels : ndarray
        Digest of the image before resizing, uint8, shape (32,).
    masks : ndarray or None
        uint8 in {0, 1}, shape (structures, S, S).
    digest : str
        sha256 of the case.
    facts : tuple of str
        What was decided of it, each the end of "3 of 10 ...".
    """

    image: np.ndarray
    thumbnail: np.ndarray
    pixels: np.ndarray
    masks: np.ndarray | None
    digest: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class DecodingRules:
    """Which masks are decoded, and what is white where files do not say.

    Attributes
    ----------
    structures : tuple of str
        What they show, in their order.
    pixel_values : mapping of str to tuple of int
        By structure, the values of its pixels, where files hold several values; empty where each structure
        has files of its own.
    white_level : int or None
        Of 16-bit files; the smallest of 255, 511, ... 65535 that holds every file's maximum when None.
    """

    structures: tuple[str, ...] = STRUCTURE_NAMES
    pixel_values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    white_level: int | None = None

    def key(self) -> dict[str, Any]:
        """Return what a cache entry's key holds of it: nothing for the usual ones."""
        masks = {
            "structures": list(self.structures),
            "mask_values": {k: list(v) for k, v in self.pixel_values.items()},
        }
        usual = self.structures == STRUCTURE_NAMES and not self.pixel_values
        white = {} if self.white_level is None else {"white_level": self.white_level}
        return ({} if usual else masks) | white


def mask_files(case: RawCase) -> list[Path]:
    """Return every file of a case's masks."""
    return [path for files in case.masks.values() for path in files]


def unsaid_top(reader: Reader, case: RawCase) -> int:
    """Return the largest level of an image that does not say what is white; 0 if it does, or is bad."""
    if not reader.may_be_deep(case.image):
        return 0
    try:
        gray = reader.decode(case.image)
    except DataError:
        return 0  # reported when it is decoded for good
    return int(gray.levels.max(initial=0)) if gray.guessed else 0


def _settled(gray: imaging.Gray, white: int | None, path: Path) -> imaging.Gray:
    try:
        return gray.settled(white)
    except ValueError as error:
        raise DataError(f"{path}: {error}; raise white_level") from None


def decode_case(reader: Reader, case: RawCase, size: int, rules: DecodingRules, white: int | None) -> Decoded:
    """Decode a case.

    Parameters
    ----------
    reader : Reader
        Decodes the image.
    case : RawCase
        The case.
    size : int
        Side of the square images in pixels.
    rules : DecodingRules
        Which masks.
    white : int or None
        The level that is white in images that do not say so; their own guess when None.

    Raises
    ------
    DataError
        If a file is bad, or image and masks do not fit each other.
    """
    stored = reader.decode(case.image)
    gray = _settled(stored, white, case.image)
    imaging.check_size(gray, case.image)
    masks, told = _masks(case, gray.size, rules) if case.masks else (None, [])
    pixels = pixel_digest(gray.levels)
    return Decoded(
        image=imaging.to_square(gray, size),
        thumbnail=imaging.to_square(gray, THUMBNAIL),
        pixels=pixels,
        masks=None if masks is None else np.stack([imaging.mask_to_square(mask, size) for mask in masks]),
        digest=case_digest(
            case.case_id, case.patient_id, case.label, pixels, masks, gray.white if stored.guessed else None
        ),
        facts=(*_image_facts(stored, gray, size), *told),
    )


def _image_facts(stored: imaging.Gray, gray: imaging.Gray, size: int) -> Iterator[str]:
    if stored.guessed:
        yield (
            f"images have 16 bits and do not say what is white; {gray.white} is white "
            "(white_level says otherwise)"
        )
    if stored.negative:
        yield "images say that 0 is white and are inverted"
    yield from stored.facts
    if min(gray.size) < size:
        yield f"images are smaller than {size} x {size} and are enlarged"


def _mask_facts(masks: Sequence[np.ndarray]) -> Iterator[str]:
    if not any(mask.any() for mask in masks):
        yield EMPTY_MASK
    if any(map(imaging.is_nearly_full, masks)):
        yield "images have a mask of more than three quarters of the image"
    elif any(map(imaging.looks_inverted, masks)):
        yield "images have a mask along most of the border, as if it were inverted"


def _masks(
    case: RawCase, image_size: tuple[int, int], rules: DecodingRules
) -> tuple[list[np.ndarray], list[str]]:
    """Return the mask of each structure, bool, shape (H, W), and what is to be told of them."""
    if not rules.pixel_values:
        files = [case.masks[structure] for structure in rules.structures]
        parts = [[_checked(imaging.read_mask(path), image_size, path) for path in own] for own in files]
        masks = [_joined(planes, own) for planes, own in zip(parts, files, strict=True)]
        one_sided = any(len(own) > 1 and not all(plane.any() for plane in own) for own in parts)
        return masks, [*_mask_facts(masks), *([_ONE_SIDED] if one_sided else [])]
    every = mask_files(case)
    values = [_checked(imaging.read_values(path), image_size, path) for path in every]
    masks = [
        np.logical_or.reduce([np.isin(found, rules.pixel_values[structure]) for found in values])
        for structure in rules.structures
    ]
    named = {0, *(value for own in rules.pixel_values.values() for value in own)}
    present = sorted({int(value) for found in values for value in np.unique(found)} - named)
    if not present:
        return masks, list(_mask_facts(masks))
    listed = ", ".join(map(str, present))
    unnamed = f"images have mask values that mask_values does not name ({listed})"
    return masks, [unnamed, *_mask_facts(masks)]


def _checked(mask: np.ndarray, image_size: tuple[int, int], path: Path) -> np.ndarray:
    imaging.check_aspect(image_size, mask.shape[::-1], path)
    return mask


def _joined(masks: Sequence[np.ndarray], files: Sequence[Path]) -> np.ndarray:
    """Return the union of files that show different parts of one structure, bool of shape (H, W)."""
    union = np.zeros_like(masks[0])
    for mask, path in zip(masks, files, strict=True):
        if mask.shape != union.shape:
            raise DataError(f"{path}: is not of the size of {files[0].name} for the same image")
        if 2 * (mask & union).sum() > min(mask.sum(), union.sum()):
            raise DataError(f"{path}: shows for the most part what {files[0]} shows; each is of another lung")
        union |= mask
    return union


def case_digest(
    case_id: str,
    patient_id: str,
    label: int | None,
    pixels: np.ndarray,
    masks: Sequence[np.ndarray] | None,
    white: int | None = None,
) -> str:
    """Return the sha256 of a case.

    Parameters
    ----------
    case_id, patient_id, label
        As in the table of cases.
    pixels : ndarray
        The image's digest, from :func:`~mmbench.data.fingerprints.pixel_digest`.
    masks : sequence of ndarray or None
        The masks themselves, one for each structure.
    white : int or None
        The level that counts as white, where the file does not say.
    """
    digests = [pixel_digest(mask).tobytes().hex() for mask in masks] if masks is not None else [None]
    level = [] if white is None else [{"white": white}]
    return digest_json([DIGEST_VERSION, case_id, patient_id, label, pixels.tobytes().hex(), *digests, *level])
