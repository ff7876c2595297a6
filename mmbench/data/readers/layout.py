"""Folders and files of a layout: finding them whatever their case, and telling what was not read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from mmbench.errors import DataError
from mmbench.text import plural

TOLD_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".tif", ".tiff", ".bmp", ".dcm", ".dicom", ".img"),
    *(".webp", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"),
)
"""Of files that hold images, or may: what is not read of them is told. Lower case."""
PART_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}
"""Names of the folders of a part."""
_IGNORED_FOLDERS = ("__MACOSX", "$RECYCLE.BIN")
_LISTED = 4
"""Folders that a note names before it stops."""


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden, unreadable and archivers' ones."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".")
            and path.name not in _IGNORED_FOLDERS
            and os.path.isdir(path)
            and os.access(path, os.R_OK | os.X_OK)
        )
    except OSError:
        return []


def files_in(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the visible files of a folder with one of the suffixes (lower case), by name."""
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None
    for name in names:
        if name.lower().endswith(suffixes):
            yield folder / name


def child(folder: Path, *names: str) -> Path | None:
    """Return the first subfolder that has one of the names, upper or lower case."""
    present = {path.name.lower(): path for path in subfolders(folder)}
    return next((present[name.lower()] for name in names if name.lower() in present), None)


def file(folder: Path, name: str) -> Path | None:
    """Return the file of a name, upper or lower case, or None."""
    exact = folder / name
    if os.path.isfile(exact):
        return exact
    try:
        return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower()), None)
    except OSError:
        return None


def part_folder(root: Path, part: str) -> Path | None:
    """Return the folder of a part of the data, by any of its usual names."""
    return child(root, *PART_FOLDERS[part])


def unread_notes(name: str, root: Path, read: Collection[Path]) -> list[str]:
    """Return a note on the images and archives below a folder that were not read, or none if all were.

    Parameters
    ----------
    name : str
        The data set.
    root : Path
        Where its layout starts; links to folders are not followed.
    read : collection of Path
        Every file that was read or that another note speaks of.
    """
    known = {os.fspath(path) for path in read}
    unread: Counter[str] = Counter()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _IGNORED_FOLDERS)
        for found in names:
            path = os.path.join(folder, found)
            if found.lower().endswith(TOLD_SUFFIXES) and found[0] != "." and path not in known:
                unread[os.path.relpath(folder, root).replace(os.sep, "/")] += 1
    if not unread:
        return []
    listed = [f"{count} in {folder}/" for folder, count in unread.most_common(_LISTED)]
    if len(unread) > _LISTED:
        listed.append(f"the others in {plural(len(unread) - _LISTED, 'more folder')}")
    total = plural(sum(unread.values()), "file")
    return [f"{name}: not read, being outside of the layout: {total} ({', '.join(listed)})"]
