"""Decoded datasets on disk: one folder per dataset, image size and state of its files.

An entry is written whole or not at all, checked against its checksums whenever it is opened, opened
memory-mapped, and never changed. One that does not match is made again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from mmbench.data.fingerprints import Fingerprints
from mmbench.errors import DataError
from mmbench.files import canonical_json, check_name, digest_file, digest_json, whole_folder

if TYPE_CHECKING:
    import pandas as pd

ENTRY_VERSION = 2
META = "meta.json"
DAMAGED = "the cache entry was damaged and has been made again"
_COLUMNS = ("case_id", "patient_id", "official_part", "label", "has_mask", "finding", "group", "digest")


def cache_root() -> Path:
    """Return where decoded data are kept: ``$MMBENCH_CACHE``, or else the user's folder for caches.

    Raises
    ------
    DataError
        If there is no home folder.
    """
    return _root("cache", platformdirs.user_cache_path)


def config_root() -> Path:
    """Return where imports are remembered: ``$MMBENCH_CACHE``, or else the user's folder for settings.

    Raises
    ------
    DataError
        If there is no home folder.
    """
    return _root("settings", platformdirs.user_config_path)


def _root(kind: str, usual: Callable[..., Path]) -> Path:
    override = os.environ.get("MMBENCH_CACHE")
    try:
        chosen = Path(override) if override else usual("mmbench", appauthor=False)
        check_name(chosen)
        return chosen.expanduser()
    except RuntimeError:
        raise DataError(
            f"there is no home folder for the {kind}; choose a folder with MMBENCH_CACHE"
        ) from None


@dataclass(frozen=True)
class CacheEntry:
    """A decoded dataset before it is cut into parts.

    Attributes
    ----------
    cases : DataFrame
        Columns ``case_id, patient_id, official_part, label, has_mask, finding, group, digest``; the
        official part is empty where the source gives none, and the digest covers one case.
    images, masks : ndarray
        As in :class:`~mmbench.data.dataset.Dataset`.
    fingerprints : Fingerprints
        Of the images before resizing.
    notes : list of str
        Facts found while reading.
    skipped : list of (str, str)
        Files left out and why; empty unless bad files were to be skipped.
    seconds : float
        Time it took to make the entry.
    """

    cases: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray | None
    fingerprints: Fingerprints
    notes: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def entry_folder(name: str, key: Any) -> Path:
    """Return the folder of an entry.

    Parameters
    ----------
    name : str
        The dataset, for people who look into the cache.
    key : JSON value
        Everything that the decoded content depends on.
    """
    digest = digest_json([ENTRY_VERSION, name, key])[:20]
    return cache_root() / "datasets" / f"{name.replace(':', '-')}-{digest}"


def entries() -> list[Path]:
    """Return the folders of every entry; without those of an early version, which are never opened."""
    folders = (path.parent for path in (cache_root() / "datasets").glob(f"*/{META}"))
    return sorted(folder for folder in folders if not _unchecked(folder))


def _unchecked(folder: Path) -> bool:
    """Whether an entry is of the first version, which had no checksums."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        return meta["version"] == 1 and "digest" not in meta
    except (OSError, ValueError, KeyError, TypeError):
        return False


def damage(folder: Path) -> str | None:
    """Return what is wrong with an entry's files, or None if they match their checksums."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["digest"] != _meta_digest(meta):
            return f"{META} does not match its checksum"
        for name, checksum in meta["checksums"].items():
            if digest_file(folder / name) != checksum:
                return f"{name} does not match its checksum"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"cannot be read ({error})"
    return None


def read_entry(folder: Path) -> CacheEntry | None:
    """Open an entry, or return None if there is none or it is damaged."""
    import pandas as pd

    if damage(folder) is not None:
        return None
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    cases = pd.read_parquet(folder / "cases.parquet")[list(_COLUMNS)]
    images = np.load(folder / "images.npy", mmap_mode="r")
    masks = np.load(folder / "masks.npy", mmap_mode="r") if meta["masks"] else None
    if masks is not None and masks.ndim == 3:
        masks = masks[:, None]  # an entry made when there was but one structure
    with np.load(folder / "fingerprints.npz") as arrays:
        prints = Fingerprints(arrays["pixels"], arrays["hashes"], arrays["thumbnails"])
    skipped = [(str(file), str(reason)) for file, reason in meta["skipped"]]
    return CacheEntry(cases, images, masks, prints, list(meta["notes"]), skipped, float(meta["seconds"]))


def _meta_digest(meta: dict[str, Any]) -> str:
    return digest_json({key: value for key, value in meta.items() if key != "digest"})


class EntryWriter:
    """Fills an entry case by case.

    Parameters
    ----------
    folder : Path
        Where; from :func:`store_entry`.
    count, size : int
        Number of cases, and side of their images in pixels.
    masks : int
        Number of structures; 0 where there are no masks.
    """

    def __init__(self, folder: Path, count: int, size: int, *, masks: int):
        from numpy.lib.format import open_memmap

        self.folder = folder

        def allocated(name: str, *shape: int) -> np.memmap[Any, Any]:
            path = folder / name
            array = open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *shape, size, size))
            if hasattr(os, "posix_fallocate"):
                # A disk that fills up under a memory map ends the process; here it is an error.
                with path.open("r+b") as stream:
                    os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
            return array

        self.images = allocated("images.npy")
        self.masks = allocated("masks.npy", masks) if masks else None

    def keep(self, rows: np.ndarray) -> None:
        """Drop every row but these."""
        for name in ("images", "masks"):
            array = getattr(self, name)
            if array is not None:
                kept = np.asarray(array[rows])
                path = self.folder / f"{name}.npy"
                path.unlink()
                np.save(path, kept)
                setattr(self, name, np.load(path, mmap_mode="r+"))

    def close(
        self, cases: pd.DataFrame, prints: Fingerprints, *, notes: list[str],
        skipped: list[tuple[str, str]], seconds: float,
    ) -> None:  # fmt: skip
        """Write the table, the fingerprints and the description, and flush the arrays."""
        self.images.flush()
        if self.masks is not None:
            self.masks.flush()
        cases[list(_COLUMNS)].to_parquet(self.folder / "cases.parquet", index=False)
        np.savez(
            self.folder / "fingerprints.npz",
            pixels=prints.pixels, hashes=prints.hashes, thumbnails=prints.thumbnails,
        )  # fmt: skip
        meta = {
            "version": ENTRY_VERSION,
            "cases": len(cases),
            "image_size": int(self.images.shape[1]),
            "masks": self.masks is not None,
            "notes": notes,
            "skipped": skipped,
            "seconds": round(seconds, 3),
            "checksums": {path.name: digest_file(path) for path in sorted(self.folder.iterdir())},
        }
        meta["digest"] = _meta_digest(meta)
        (self.folder / META).write_text(canonical_json(meta), encoding="utf-8")


def store_entry(folder: Path, make: Callable[[Path], None]) -> CacheEntry:
    """Return an entry, making it by ``make(temporary_folder)`` if it is missing or damaged.

    Parameters
    ----------
    folder : Path
        From :func:`entry_folder`.
    make : callable
        Takes an empty folder and fills it through an :class:`EntryWriter`.

    Raises
    ------
    DataError
        If the cache cannot be written.
    """
    if (entry := read_entry(folder)) is not None:
        return entry
    try:
        damaged = _clear(folder)
        with whole_folder(folder) as temporary:
            make(temporary)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: the cache cannot be written ({error.strerror or error}); free "
            "space, or choose another folder with MMBENCH_CACHE"
        ) from error
    entry = read_entry(folder)
    if entry is None:
        raise DataError(f"{folder}: the cache entry just written cannot be read; check the disk")
    return replace(entry, notes=[*entry.notes, f"{folder}: {DAMAGED}"]) if damaged else entry


def _clear(folder: Path) -> bool:
    """Remove a damaged entry, and say whether there was one; whoever has it open keeps what it sees."""
    if not folder.exists():
        return False
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    with suppress(FileNotFoundError):  # another process was faster
        folder.rename(aside / folder.name)
    shutil.rmtree(aside, ignore_errors=True)
    return True
