"""From a reader's listing to a cache entry: decode, resize, fingerprint, group."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mmbench.data import imaging
from mmbench.data.cache import CacheEntry, EntryWriter, entry_folder, store_entry
from mmbench.data.fingerprints import THUMBNAIL, duplicate_groups, fingerprints_of, pixel_digest
from mmbench.data.readers.contract import Listing, RawCase, Reader
from mmbench.errors import DataError, MissingPackageError
from mmbench.files import digest_json
from mmbench.processors import usable_cpus
from mmbench.protocol.vocabulary import STRUCTURE_NAMES

if TYPE_CHECKING:
    import pandas as pd

DECODER_VERSION = 3
"""Raised whenever decoding, resizing or fingerprinting changes what an entry holds; part of its key."""
DIGEST_VERSION = 2
"""Raised whenever the digest of a case with the same pixels changes."""

_EMPTY = "images have an empty mask"
_ONE_SIDED = "images have an empty mask of one lung"
T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the number of cases done and their total."""


@dataclass(frozen=True)
class _Decoded:
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


def listing_key(listing: Listing, image_size: int, rules: DecodingRules) -> dict[str, Any]:
    """Return what the decoded content depends on: names, sizes and times of files, not where they lie."""
    files = {str(path) for case in listing.cases for path in (case.image, *mask_files(case))}
    files |= {str(path) for path in listing.tables}
    prefix = str(listing.root) + os.sep
    state = []
    for path in sorted(files):
        try:
            found = os.stat(path)
            # Archives give many copies the same sizes and times of modification, but not of change.
            size, changed = found.st_size, (found.st_mtime_ns, found.st_ctime_ns)
        except OSError:  # reported with the other bad files when it is decoded
            size, changed = -1, (0, 0)
        # relpath costs far more than a stat, and is needed only for manifests that point elsewhere.
        name = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, listing.root)
        state.append([name.replace(os.sep, "/"), size, *changed])
    cases = [[case.case_id, case.patient_id, case.label, case.part, case.finding] for case in listing.cases]
    return {
        "decoder": DECODER_VERSION,
        "image_size": image_size,
        "cases": digest_json(cases),
        "files": digest_json(state),
        **rules.key(),
    }


def mask_files(case: RawCase) -> list[Path]:
    """Return every file of a case's masks."""
    return [path for files in case.masks.values() for path in files]


def decoded_entry(
    reader: Reader,
    listing: Listing,
    image_size: int,
    rules: DecodingRules | None = None,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> tuple[CacheEntry, Path]:
    """Return a listing's cache entry, decoding it if it is not there.

    Parameters
    ----------
    reader : Reader
        Decodes the images.
    listing : Listing
        From ``reader.scan``.
    image_size : int
        Side of the square images in pixels.
    rules : DecodingRules, optional
        Masks of the lungs, and the usual white level, when left out.
    skip_bad : bool
        Leave out cases with a bad file and list them in ``entry.skipped``, instead of an error.
    progress : callable, optional
        Told how far decoding is.

    Returns
    -------
    (CacheEntry, Path)
        The entry and its folder.

    Raises
    ------
    DataError
        If there are no cases, or a file is bad and ``skip_bad`` is off: names the first bad file and says
        how many there are.
    """
    if not listing.cases:
        raise DataError(f"{listing.root}: no {reader.name} images found; expected {reader.info.layout}")
    rules = rules or DecodingRules()
    folder = entry_folder(reader.name, listing_key(listing, image_size, rules))

    def make(temporary: Path) -> None:
        _decode_all(reader, listing, image_size, rules, temporary, skip_bad, progress)

    entry = store_entry(folder, make)
    if entry.skipped and not skip_bad:
        raise bad_files_error(reader.name, entry.skipped, len(entry.cases) + len(entry.skipped))
    return replace(entry, notes=[*listing.notes, *entry.notes]), folder


def bad_files_error(name: str, bad: list[tuple[str, str]], total: int) -> DataError:
    """Return the error that names the first bad file and the number of bad cases."""
    remedy = (
        "fix them or remove their lines"
        if name == "manifest"
        else f"fix them or leave them out with 'mmbench data import {name} PATH --skip-bad'"
    )
    count = "1 case is" if len(bad) == 1 else f"{len(bad)} cases are"
    return DataError(f"{bad[0][1]} - {count} bad of {total} in {name}; {remedy}")


def _decode_all(
    reader: Reader,
    listing: Listing,
    size: int,
    rules: DecodingRules,
    folder: Path,
    skip_bad: bool,
    progress: Progress | None,
) -> None:
    started = time.perf_counter()
    count = len(listing.cases)
    masks = len(rules.structures) if any(case.masks for case in listing.cases) else 0
    writer = EntryWriter(folder, count, size, masks=masks)
    pixels = np.zeros((count, 32), dtype=np.uint8)
    thumbnails = np.zeros((count, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    digests, masked = [""] * count, [False] * count
    facts, bad = Counter[str](), dict[int, str]()
    white = rules.white_level or _white_level(reader, listing.cases)
    for row, decoded in enumerate(_decoded_in_order(reader, listing.cases, size, rules, white)):
        if isinstance(decoded, DataError):
            bad[row] = str(decoded)
        else:
            writer.images[row] = decoded.image
            facts.update(decoded.facts)
            pixels[row], thumbnails[row], digests[row] = decoded.pixels, decoded.thumbnail, decoded.digest
            if writer.masks is not None and decoded.masks is not None:
                writer.masks[row], masked[row] = decoded.masks, True
        if progress is not None:
            progress(row + 1, count)
    skipped = [(_relative(listing.cases[row].image, listing.root), reason) for row, reason in bad.items()]
    if bad and (not skip_bad or len(bad) == count):
        raise bad_files_error(reader.name, skipped, count)
    if (empty := facts[_EMPTY]) and empty == sum(masked):
        which = (
            f"has the mask_values {dict(rules.pixel_values)}" if rules.pixel_values else "has a foreground"
        )
        raise DataError(f"{reader.name}: none of the {empty} masks {which}; look at what they hold")
    good = np.array([row for row in range(count) if row not in bad], dtype=np.int64)
    if bad:
        writer.keep(good)
    prints = fingerprints_of(pixels[good], thumbnails[good])
    cases = _table(listing.cases).assign(has_mask=masked, digest=digests).iloc[good].reset_index(drop=True)
    cases["group"] = duplicate_groups(list(cases["patient_id"]), prints)
    notes = duplicate_notes(reader.name, cases, prints.pixels)
    # Told what is decided of the data, and how often; nothing is decided in silence.
    notes += [f"{reader.name}: {number} of {count} {fact}" for fact, number in sorted(facts.items())]
    if bad:
        notes.append(f"{reader.name}: {len(bad)} of {count} cases are left out, their files being bad")
    writer.close(cases, prints, notes=notes, skipped=skipped, seconds=time.perf_counter() - started)


def _decoded_in_order(
    reader: Reader, cases: list[RawCase], size: int, rules: DecodingRules, white: int | None
) -> Iterator[_Decoded | DataError]:
    def decode(case: RawCase) -> _Decoded | DataError:
        try:
            return _decode_case(reader, case, size, rules, white)
        except MissingPackageError:
            raise
        except DataError as error:
            return error

    yield from _in_threads(decode, cases)


def _in_threads(function: Callable[[RawCase], T], cases: Sequence[RawCase]) -> Iterator[T]:
    # Pillow lets go of the interpreter while it decodes. Blocks bound what waits in memory.
    with ThreadPoolExecutor(max_workers=min(8, usable_cpus())) as pool:
        for start in range(0, len(cases), 256):
            yield from pool.map(function, cases[start : start + 256])


def _white_level(reader: Reader, cases: Sequence[RawCase]) -> int | None:
    """Return the white level of the 16-bit files that do not say theirs, or None if there are none.

    One for all, since two films of one detector differ in their maximum and not in what white is.
    """

    def top(case: RawCase) -> int:
        if not reader.may_be_deep(case.image):
            return 0
        try:
            gray = reader.decode(case.image)
        except DataError:
            return 0  # reported when it is decoded for good
        return int(gray.levels.max(initial=0)) if gray.guessed else 0

    highest = max(_in_threads(top, cases), default=0)
    return imaging.white_of(highest) if highest else None


def _settled(gray: imaging.Gray, white: int | None, path: Path) -> imaging.Gray:
    try:
        return gray.settled(white)
    except ValueError as error:
        raise DataError(f"{path}: {error}; raise white_level") from None


def _decode_case(
    reader: Reader, case: RawCase, size: int, rules: DecodingRules, white: int | None
) -> _Decoded:
    stored = reader.decode(case.image)
    gray = _settled(stored, white, case.image)
    imaging.check_size(gray, case.image)
    masks, told = _masks(case, gray.size, rules) if case.masks else (None, [])
    pixels = pixel_digest(gray.levels)
    return _Decoded(
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
        yield _EMPTY
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


def _table(cases: list[RawCase]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "case_id": [case.case_id for case in cases],
            "patient_id": [case.patient_id for case in cases],
            "official_part": [case.part for case in cases],
            "label": pd.array([case.label for case in cases], dtype="Int8"),
            "finding": [case.finding for case in cases],
        }
    )


def duplicate_notes(name: str, cases: pd.DataFrame, pixels: np.ndarray) -> list[str]:
    """Return what is to be told of images that are identical.

    Parameters
    ----------
    name : str
        The data set.
    cases : DataFrame
        With ``case_id``, ``label`` and ``finding``.
    pixels : ndarray
        Digest of each image, uint8, shape (N, 32).
    """
    _, groups, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    groups = groups.reshape(-1)
    if not (counts > 1).any():
        return []
    notes = [f"{name}: {(counts > 1).sum()} groups of identical images ({counts[counts > 1].sum()} files)"]
    told = cases.assign(group=groups, what=cases["label"].astype(str) + " " + cases["finding"].astype(str))
    mixed = told.groupby("group")["what"].nunique()
    contradictory = told[told["group"].isin(mixed.index[mixed > 1])].sort_values(["group", "case_id"])
    if len(contradictory):
        examples = ", ".join(contradictory["case_id"].head(2))
        notes.append(f"{name}: {(mixed > 1).sum()} of them carry different labels ({examples}...)")
    return notes


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")
