"""Records of one kind: a folder each, whole or absent, every file checked against its checksum."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mmbench.errors import StoreError, UnwritableStoreError
from mmbench.files import digest_file, whole_folder
from mmbench.store.reading import parse, read_json
from mmbench.store.records import Record, content_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    import pyarrow as pa

ID = re.compile(r"[0-9a-f]{16}")
Kind = TypeVar("Kind", bound=Record)


class Layer(Generic[Kind]):
    """The records of one layer of a results folder.

    Parameters
    ----------
    root : Path
        The results folder.
    name : str
        The layer's folder within it.
    model : type of Record
        What a record is.
    """

    def __init__(self, root: Path, name: str, model: type[Kind]):
        self.root = root
        self.name = name
        self.home = root / name
        self.model = model
        self._read: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}

    def ids(self) -> list[str]:
        """Return the ids of every record; nothing is opened."""
        return sorted(entry.name for entry in entries(self.home) if ID.fullmatch(entry.name))

    def has(self, id: str) -> bool:
        """Whether there is a record."""
        return (self.home / id).is_dir()

    def folder(self, id: str) -> Path:
        """Return a record's folder, whether or not it is there."""
        return self.home / id

    def write(self, record: Kind, files: Callable[[Path], None], *, replace: bool = False) -> None:
        """Write a record, whole or not at all.

        Parameters
        ----------
        record : Record
            Its ``checksums`` and ``digest`` are filled in here.
        files : callable
            Writes every other file into the folder it is given.
        replace : bool
            Take the place of a record that is already there; otherwise that one stays.

        Raises
        ------
        UnwritableStoreError
            If the folder cannot be written.
        """
        target = self.folder(record.id)
        with (
            writing(self.root),
            _replacing(target, replace) as set_aside,
            whole_folder(target) as folder,
        ):
            files(folder)
            found = sorted(path for path in folder.rglob("*") if path.is_file())
            checksums = {path.relative_to(folder).as_posix(): digest_file(path) for path in found}
            (folder / self.model.FILE).write_text(record.sealed(checksums).text(), encoding="utf-8")
            set_aside()

    def remove(self, id: str) -> None:
        """Remove a record, if there is one."""
        with writing(self.root):
            for old in _set_aside(self.folder(id)):
                shutil.rmtree(old)

    def read(self, id: str) -> Kind:
        """Return a record.

        Raises
        ------
        StoreError
            If there is none, or it does not match its digest or schema.
        """
        return parse(self.model, self.content(id), self.folder(id) / self.model.FILE, self._fix())

    def content(self, id: str) -> dict[str, Any]:
        """Return a record's JSON as plain data, checked against its digest but not its schema."""
        path = self.folder(id) / self.model.FILE
        version = version_of(path)
        known = self._read.get(id)
        if known is not None and known[0] == version:
            return known[1]
        content = read_json(path, self._fix())
        if content.get("id") != id or content.get("digest") != content_digest(content):
            raise StoreError(f"{path}: the record was changed after it was written; {self._fix()}")
        if version is not None:
            self._read[id] = (version, content)
        return content

    def path(self, id: str, name: str) -> Path:
        """Return a file of a record, checked against its checksum.

        Raises
        ------
        StoreError
            If the record has no such file, or it does not match.
        """
        return self._checked(id, name, self.content(id)["checksums"])

    def table(self, id: str, name: str) -> pa.Table:
        """Return a Parquet file of a record as an Arrow table, checked against its checksum."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(id, name)
        try:
            return pq.ParquetFile(path).read(use_threads=False)
        except pa.ArrowException:
            raise StoreError(f"{path}: is not a Parquet table; {self._fix()}") from None

    def arrays(self, id: str, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of an npz file of a record, checked against its checksum."""
        import zipfile

        import numpy as np

        path = self.path(id, name)
        try:
            with np.load(path, allow_pickle=False) as found:
                return {key: found[key] for key in found.files}
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile):
            raise StoreError(f"{path}: does not hold arrays; {self._fix()}") from None

    def verify(self, id: str) -> Kind:
        """Check every file of a record against its checksum and return the record.

        Raises
        ------
        StoreError
            On the first file that is missing or changed.
        """
        record = self.read(id)
        for name in record.checksums:
            self._checked(id, name, record.checksums)
        return record

    def _checked(self, id: str, name: str, checksums: Mapping[str, str]) -> Path:
        path = self.folder(id) / name
        if name not in checksums:
            raise StoreError(f"{path}: the record has no such file; {self._fix()}")
        try:
            found = digest_file(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}); {self._fix()}") from None
        if found != checksums[name]:
            raise StoreError(f"{path}: does not match its checksum; {self._fix()}")
        return path

    def _fix(self) -> str:
        return fix_hint(self.root)


def fix_hint(root: Path) -> str:
    """Return how a damaged results folder is repaired, as the end of a message."""
    return f"fix it with: mmbench doctor {root} --repair"


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Say of every error of the operating system that a results folder cannot be written.

    Raises
    ------
    UnwritableStoreError
        In place of the error.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or root
        raise UnwritableStoreError(
            f"{where}: cannot be written ({error.strerror or error}); free space, or choose "
            "another folder with --results"
        ) from error


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds; nothing where it does not exist.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def version_of(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table of a record."""
    frame.to_parquet(path, index=False, compression="zstd")


def write_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write named arrays of a record, compressed."""
    import numpy as np

    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # every name is an array's


@contextmanager
def _replacing(target: Path, replace: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that moves ``target`` away; at the end it is deleted, or put back on an error."""
    moved: list[Path] = []

    def set_aside() -> None:
        if replace:
            moved.extend(_set_aside(target))

    try:
        yield set_aside
    except BaseException:
        if moved and not target.exists():
            (moved[0] / target.name).rename(target)
        raise
    finally:
        for old in moved:
            shutil.rmtree(old, ignore_errors=True)


def _set_aside(folder: Path) -> list[Path]:
    """Move a folder into a hidden one beside it; return that one, or nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    parent = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        folder.rename(parent / folder.name)
    except FileNotFoundError:  # another process was faster
        parent.rmdir()
        return []
    return [parent]
