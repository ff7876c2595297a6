"""From a reader's listing to a cache entry: decode, resize, fingerprint, group."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.data import imaging
from mmbench.data.cache import CacheEntry, EntryWriter, entry_folder, store_entry
from mmbench.data.fingerprints import THUMBNAIL, duplicate_groups, fingerprints_of, pixel_digest
from mmbench.data.readers.contract import Listing, RawCase, Reader
from mmbench.errors import DataError
from mmbench.files import digest_json
from mmbench.processors import usable_cpus
from mmbench.protocol.vocabulary import STRUCTURE_NAMES

if TYPE_CHECKING:
    import pandas as pd

DECODER_VERSION = 2
"""Raised whenever decoding, resizing or fingerprinting changes what an entry holds; part of its digests."""

Progress = Callable[[int, int], None]
"""Called with the number of cases done and their total."""


@dataclass(frozen=True)
class _Decoded:
    image: np.ndarray
    thumbnail: np.ndarray
    pixels: np.ndarray
    masks: np.ndarray | None
    digest: str
    enlarged: bool


@dataclass(frozen=True)
class MaskRules:
    """Which masks are decoded.

    Attributes
    ----------
    structures : tuple of str
        What they show, in their order.
    pixel_values : mapping of str to tuple of int
        By structure, the values of its pixels, where one file holds all structures; empty where each has
        files of its own.
    """

    structures: tuple[str, ...] = STRUCTURE_NAMES
    pixel_values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def key(self) -> dict[str, Any]:
        """Return what a cache entry's key holds of it: nothing for the usual ones."""
        if self == MaskRules():
            return {}
        return {
            "structures": list(self.structures),
            "mask_values": {k: list(v) for k, v in self.pixel_values.items()},
        }


def listing_key(listing: Listing, image_size: int, rules: MaskRules) -> dict[str, Any]:
    """Return what the decoded content depends on: names, sizes and times of files, not where they lie.

    Raises
    ------
    DataError
        If a file of the listing is gone.
    """
    files = {str(path) for case in listing.cases for path in (case.image, *mask_files(case))}
    files |= {str(path) for path in listing.tables}
    prefix = str(listing.root) + os.sep
    state = []
    for path in sorted(files):
        try:
            found = os.stat(path)
        except OSError:
            raise DataError(f"{path}: the file is missing") from None
        # relpath costs far more than a stat, and is needed only for manifests that point elsewhere.
        name = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, listing.root)
        state.append([name.replace(os.sep, "/"), found.st_size, found.st_mtime_ns])
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
    rules: MaskRules | None = None,
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
    rules : MaskRules, optional
        Which masks; those of the lungs when left out.
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
    rules = rules or MaskRules()
    folder = entry_folder(reader.name, listing_key(listing, image_size, rules))

    def make(temporary: Path) -> None:
        _decode_all(reader, listing, image_size, rules, temporary, skip_bad, progress)

    entry = store_entry(folder, make)
    if entry.skipped and not skip_bad:
        raise bad_files_error(reader.name, entry.skipped, len(entry.cases) + len(entry.skipped))
    return entry, folder


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
    rules: MaskRules,
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
    enlarged, bad = 0, dict[int, str]()
    for row, decoded in enumerate(_decoded_in_order(reader, listing.cases, size, rules)):
        if isinstance(decoded, DataError):
            bad[row] = str(decoded)
        else:
            writer.images[row] = decoded.image
            enlarged += decoded.enlarged
            pixels[row], thumbnails[row], digests[row] = decoded.pixels, decoded.thumbnail, decoded.digest
            if writer.masks is not None and decoded.masks is not None:
                writer.masks[row], masked[row] = decoded.masks, True
        if progress is not None:
            progress(row + 1, count)
    skipped = [(_relative(listing.cases[row].image, listing.root), reason) for row, reason in bad.items()]
    if bad and (not skip_bad or len(bad) == count):
        raise bad_files_error(reader.name, skipped, count)
    good = np.array([row for row in range(count) if row not in bad], dtype=np.int64)
    if bad:
        writer.keep(good)
    prints = fingerprints_of(pixels[good], thumbnails[good])
    cases = _table(listing.cases).assign(has_mask=masked, digest=digests).iloc[good].reset_index(drop=True)
    cases["group"] = duplicate_groups(list(cases["patient_id"]), prints)
    notes = [*listing.notes, *_duplicate_notes(reader.name, prints.pixels)]
    if enlarged:
        notes.append(
            f"{reader.name}: {enlarged} of {count} images are smaller than {size} x {size} and are enlarged"
        )
    if bad:
        notes.append(f"{reader.name}: {len(bad)} of {count} cases are left out, their files being bad")
    writer.close(cases, prints, notes=notes, skipped=skipped, seconds=time.perf_counter() - started)


def _decoded_in_order(
    reader: Reader, cases: list[RawCase], size: int, rules: MaskRules
) -> Iterator[_Decoded | DataError]:
    def decode(case: RawCase) -> _Decoded | DataError:
        try:
            return _decode_case(reader, case, size, rules)
        except DataError as error:
            return error

    # Pillow lets go of the interpreter while it decodes. Blocks bound what waits in memory.
    with ThreadPoolExecutor(max_workers=min(8, usable_cpus())) as pool:
        for start in range(0, len(cases), 256):
            yield from pool.map(decode, cases[start : start + 256])


def _decode_case(reader: Reader, case: RawCase, size: int, rules: MaskRules) -> _Decoded:
    gray = reader.decode(case.image)
    imaging.check_size(gray, case.image)
    masks = _masks(case, gray.size, rules) if case.masks else None
    pixels = pixel_digest(gray.levels)
    return _Decoded(
        image=imaging.to_square(gray, size),
        thumbnail=imaging.to_square(gray, THUMBNAIL),
        pixels=pixels,
        masks=None if masks is None else np.stack([imaging.mask_to_square(mask, size) for mask in masks]),
        digest=case_digest(case.case_id, case.patient_id, case.label, pixels, masks),
        enlarged=min(gray.size) < size,
    )


def _masks(case: RawCase, image_size: tuple[int, int], rules: MaskRules) -> list[np.ndarray]:
    """Return the mask of each structure, bool, shape (H, W)."""
    if not rules.pixel_values:
        return [_union(case.masks[structure], image_size) for structure in rules.structures]
    (path,) = mask_files(case)
    values = imaging.decode_values(path)
    imaging.check_aspect(image_size, values.shape[::-1], path)
    return [np.isin(values, rules.pixel_values[structure]) for structure in rules.structures]


def _union(files: Sequence[Path], image_size: tuple[int, int]) -> np.ndarray:
    union: np.ndarray | None = None
    for path in files:
        mask = imaging.binarise(imaging.decode(path), path)
        imaging.check_aspect(image_size, mask.shape[::-1], path)
        if union is not None and union.shape != mask.shape:
            raise DataError(f"{path}: is not of the size of {files[0].name} for the same image")
        union = mask if union is None else union | mask
    assert union is not None
    return union


def case_digest(
    case_id: str, patient_id: str, label: int | None, pixels: np.ndarray, masks: Sequence[np.ndarray] | None
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
    """
    digests = [pixel_digest(mask).tobytes().hex() for mask in masks] if masks is not None else [None]
    return digest_json([DECODER_VERSION, case_id, patient_id, label, pixels.tobytes().hex(), *digests])


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


def _duplicate_notes(name: str, pixels: np.ndarray) -> list[str]:
    _, counts = np.unique(pixels, axis=0, return_counts=True)
    groups = counts[counts > 1]
    if len(groups) == 0:
        return []
    return [f"{name}: {len(groups)} groups of identical images ({groups.sum()} files)"]


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")
