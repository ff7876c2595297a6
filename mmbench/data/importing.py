"""Importing a real dataset: verify, count, decode once per image size, remember where it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmbench.data import archives, generated, remembered
from mmbench.data.cache import CacheEntry
from mmbench.data.catalogue import describe
from mmbench.data.decoding import DecodingRules
from mmbench.data.ingest import decoded_entry
from mmbench.data.readers import READERS, Manifest
from mmbench.data.readers.contract import case_counts
from mmbench.data.relabelling import with_structures
from mmbench.errors import DataError
from mmbench.files import check_name, digest_json
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import STRUCTURE_NAMES

SEARCH_DEPTH = 4
DEFAULT_IMAGE_SIZES = (256,)


@dataclass(frozen=True)
class ImportReport:
    """What an import found.

    Attributes
    ----------
    name : str
        The dataset.
    root : Path
        The folder where its layout starts; later runs read from there.
    image_sizes : tuple of int
        Sizes now in the cache.
    counts, published_counts : dict
        Found and published, in the same words.
    differences : list of str
        One line for each published count that was not met; empty for an official copy.
    skipped : list of (str, str)
        Files left out and why.
    notes : list of str
        Known facts, one line each.
    data_digest : str
        sha256 of the decoded images, masks, labels and patient ids, before any subset.
    seconds : float
        Time taken, unpacking included.
    """

    name: str
    root: Path
    image_sizes: tuple[int, ...]
    counts: dict[str, int]
    published_counts: dict[str, int]
    differences: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data_digest: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **vars(self),
            "root": str(self.root),
            "image_sizes": list(self.image_sizes),
            "skipped": [list(item) for item in self.skipped],
        }

    @property
    def compared_counts(self) -> list[tuple[str, int, int | None]]:
        """What was counted, how often it was found, and how often it is published (None: not published)."""
        words = dict.fromkeys([*self.counts, *self.published_counts])
        return [(word, self.counts.get(word, 0), self.published_counts.get(word)) for word in words]


def import_dataset(
    name: str,
    path: Path,
    *,
    image_sizes: Sequence[int] = DEFAULT_IMAGE_SIZES,
    skip_bad: bool = False,
    white_level: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a dataset from a folder or an official archive.

    Afterwards :func:`~mmbench.data.catalogue.load_dataset` finds it without a data root. An archive is
    unpacked into the cache.

    Parameters
    ----------
    name : str
        A real dataset's name.
    path : Path
        The folder of the dataset or one above it, or a zip or tar file.
    image_sizes : sequence of int
        Sizes to decode at, in pixels.
    skip_bad : bool
        Leave out cases with a damaged file and list them, instead of an error; remembered for later runs.
    white_level : int, optional
        Of 16-bit files; see :class:`~mmbench.data.decoding.DecodingRules`. Remembered for later runs.
    progress : callable, optional
        Called with the cases done and their total, for each size.

    Raises
    ------
    DataError
        If the dataset is unknown or cannot be imported, or the files are not in its layout or damaged.
    """
    started = time.perf_counter()
    info = describe(name)
    name = info.name
    reader = READERS.get(name)
    if reader is None:
        raise DataError(f"{name}: is built in ({generated.PREFIX}* is generated); there is nothing to import")
    if isinstance(reader, Manifest):
        raise DataError("manifest: needs no import; name the CSV file by 'path' in the protocol")
    if not image_sizes or min(image_sizes) < 16 or max(image_sizes) > 2048:
        raise DataError(f"image sizes must lie between 16 and 2048, not {list(image_sizes)}")
    check_name(path.absolute())
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    folder = path
    if path.is_file():
        if not archives.is_archive(path):
            raise DataError(f"{path}: is neither a folder nor one of {', '.join(archives.SUFFIXES)}")
        folder = archives.unpack(path, name)
    root = reader.find(folder.resolve(), SEARCH_DEPTH)
    if root is None:
        raise DataError(f"{path}: holds no {name} dataset; expected {info.layout}")
    check_name(root)
    listing = reader.listing(root)
    lungs = with_structures(listing, DatasetChoice(dataset=name), STRUCTURE_NAMES)
    rules = DecodingRules(white_level=white_level)
    entries: dict[int, str] = {}
    for size in image_sizes:
        entry, place = decoded_entry(reader, lungs, size, rules, skip_bad=skip_bad, progress=progress)
        entries[size] = place.name
    ids = set(entry.cases["case_id"])
    counts = case_counts([case for case in listing.cases if case.case_id in ids])
    record = remembered.Import(
        name=name,
        root=root,
        skip_bad=skip_bad,
        entries=entries,
        counts=counts,
        data_digest=entry_digest(entry),
        white_level=white_level,
        notes=lungs.notes,
    )
    remembered.remember(record)
    return ImportReport(
        name=name,
        root=root,
        image_sizes=tuple(image_sizes),
        counts=counts,
        published_counts=dict(info.published_counts),
        differences=_differences(counts, info.published_counts),
        skipped=entry.skipped,
        notes=entry.notes,
        data_digest=record.data_digest,
        seconds=time.perf_counter() - started,
    )


def entry_digest(entry: CacheEntry) -> str:
    """Return the data digest of a whole entry, as a dataset without a subset has it."""
    return digest_json(list(entry.cases["digest"]))


def _differences(counts: dict[str, int], published: dict[str, int]) -> list[str]:
    return [
        f"{word}: {counts.get(word, 0)} instead of {number}"
        for word, number in published.items()
        if counts.get(word, 0) != number
    ]
