"""What writers that were killed leave behind, and damaged files."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from mmbench.store.store import ResultStore

_HIDDEN = re.compile(r"\.([0-9a-f]{16})\..*")


def leftovers(store: ResultStore) -> Iterator[tuple[str, Path]]:
    """Yield the ids of what is being written, or was when the writer was killed, with where."""
    homes = [layer.home for layer in store.layers]
    for folder in (*homes, store.failures_folder, store.checkpoints_folder):
        for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
            if found := _HIDDEN.fullmatch(name):
                yield found[1], folder / name


def sweep(store: ResultStore, ids: Collection[str]) -> None:
    """Clear what killed writers left of some records; only for the process that holds their lease.

    An old record that was set aside and never replaced is put back.

    Raises
    ------
    UnwritableStoreError
        If the folder cannot be written.
    """
    with store.writing():
        for id, path in leftovers(store):
            if id not in ids:
                continue
            if (path / id).is_dir() and not (path.parent / id).exists():
                (path / id).rename(path.parent / id)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def quarantine(store: ResultStore, path: Path) -> Path:
    """Set a damaged file or folder aside, and return where it is now.

    Raises
    ------
    UnwritableStoreError
        If the folder cannot be written.
    """
    with store.writing():
        store.quarantine_folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=store.quarantine_folder))
        path.rename(place / path.name)
    return place / path.name
