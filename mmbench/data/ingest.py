"""From a reader's listing to a cache entry: decode, resize, fingerprint, group."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mmbench.data import imaging
from mmbench.data.cache import CacheEntry, EntryWriter, entry_folder, store_entry
from mmbench.data.decoding import EMPTY_MASK, Decoded, DecodingRules, decode_case, mask_files, unsaid_top
from mmbench.data.fingerprints import THUMBNAIL, duplicate_groups, fingerprints_of
from mmbench.data.readers.contract import Listing, RawCase, Reader
from mmbench.errors import DataError, MissingPackageError
from mmbench.files import digest_json
from mmbench.processors import usable_cpus

if TYPE_CHECKING:
    import pandas as pd

DECODER_VERSION = 3
"""Raised whenever decoding, resizing or fingerprinting changes what an entry holds; part of its key."""

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the number of cases done and their total."""


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
    if (empty := facts[EMPTY_MASK]) and empty == sum(masked):
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
) -> Iterator[Decoded | DataError]:
    def decode(case: RawCase) -> Decoded | DataError:
        try:
            return decode_case(reader, case, size, rules, white)
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
    highest = max(_in_threads(partial(unsaid_top, reader), cases), default=0)
    return imaging.white_of(highest) if highest else None


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
