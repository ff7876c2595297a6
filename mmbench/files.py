"""Writing files so that each is whole or absent, and digests of what was written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmbench.errors import UserError


def canonical_json(value: Any) -> str:
    """Return JSON that is equal for equal values: sorted keys, no spaces, no NaN.

    Raises
    ------
    ValueError
        If the value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def check_name(path: str | Path) -> None:
    """Refuse a path whose bytes are no UTF-8 text: tables, JSON and reports could not hold it.

    Raises
    ------
    UserError
        Saying so.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = ascii(str(path))[1:-1]
        raise UserError(f"{shown}: its name is not UTF-8; rename it, or name another place") from None


def digest_bytes(data: bytes) -> str:
    """Return the sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def digest_code(*parts: str) -> str:
    """Return a digest of this package's files, or of some of its parts.

    A version number is not enough: a copy from git changes without one.

    Parameters
    ----------
    parts : str
        Folders or files relative to the package, such as ``stats`` or ``protocol/metrics.py``; a subpackage
        that is installed from elsewhere, such as ``published``, counts too. Everything when left out.
    """
    found = {}
    for part in parts or (".",):
        root = _part(part)
        for path in [root] if root.is_file() else sorted(root.rglob("*.*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[(Path(part) / path.relative_to(root)).as_posix()] = digest_file(path)
    return digest_json(found)


def _part(name: str) -> Path:
    """Return where a part of this package lies."""
    path = Path(__file__).resolve().parent / name
    if path.exists():
        return path
    # A working copy keeps some subpackages next to the package, not in it.
    spec = find_spec(f"{__package__}.{name}")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{name} is no part of {__package__}")
    return Path(next(iter(spec.submodule_search_locations)))


def fsync_path(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` by way of a flushed temporary file and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class DamagedFileError(Exception):
    """A file's content does not match its checksum."""


def write_sealed(path: Path, data: bytes) -> None:
    """Write a file that carries its own checksum: a sha256, then ``data``."""
    write_bytes(path, hashlib.sha256(data).digest() + data)


def read_sealed(path: Path) -> bytes:
    """Return what :func:`write_sealed` wrote.

    Raises
    ------
    DamagedFileError
        If the content does not match the checksum.
    """
    content = path.read_bytes()
    size = hashlib.sha256().digest_size
    seal, data = content[:size], content[size:]
    if hashlib.sha256(data).digest() != seal:
        raise DamagedFileError(f"{path}: does not match its checksum")
    return data


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` when the block ends without an error.

    Every file is flushed before the rename, so a reader sees the folder whole or not at all. A folder
    that already stands at ``target`` wins: what was written is then dropped.

    Parameters
    ----------
    target : Path
        The folder to make; its parents are made as needed.

    Yields
    ------
    Path
        An empty folder beside ``target``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                fsync_path(path)
        fsync_path(temporary)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        else:
            fsync_path(target.parent)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
