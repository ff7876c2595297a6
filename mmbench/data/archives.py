"""Unpacking archives that came from elsewhere: nothing outside the target, no links, no bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from mmbench.data.cache import cache_root
from mmbench.errors import DataError
from mmbench.files import digest_json, whole_folder

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_BLOCK = 1024**2
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""By how a file begins."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may unpack to.

    Attributes
    ----------
    members : int
        Number of files.
    total_bytes : int
        Sum of their sizes.
    ratio : float
        Unpacked size over packed size; radiographs reach about 3.
    ratio_from : int
        Unpacked bytes from which the ratio counts, since small text packs well.
    """

    members: int = 300_000
    total_bytes: int = 200 * 1024**3
    ratio: float = 100.0
    ratio_from: int = 64 * 1024**2


def is_archive(path: Path) -> bool:
    """Return whether a file is named like an archive that can be unpacked."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, name: str, limits: Limits | None = None) -> Path:
    """Unpack an archive into the cache, unless it was unpacked before, and return the folder.

    Parameters
    ----------
    archive : Path
        A zip or tar file, compressed or not.
    name : str
        The dataset; part of the folder's name.
    limits : Limits, optional
        Replaces the usual ones.

    Raises
    ------
    DataError
        If the archive is damaged, encrypted or larger than the limits, or a member lies outside it, is
        absolute, a link or a device, or is there twice. Nothing is left behind then.
    """
    try:
        state = archive.stat()
    except OSError as error:
        raise DataError(f"{archive}: cannot be read ({error.strerror or error})") from None
    key = digest_json([archive.name, state.st_size, state.st_mtime_ns])[:16]
    target = cache_root() / "unpacked" / f"{name}-{key}"
    if target.is_dir():
        return target
    budget = _Budget(archive, state.st_size, limits or Limits())
    with whole_folder(target) as folder:
        try:
            if archive.name.lower().endswith(".zip"):
                _unpack_zip(archive, folder, budget)
            else:
                _unpack_tar(archive, folder, budget)
        except NotImplementedError:
            raise DataError(
                f"{archive}: is compressed in a way that Python does not know (Windows does so above 2 GB); "
                "unpack it yourself and name the folder"
            ) from None
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the archive
                raise DataError(f"{archive}: cannot be unpacked ({reason})") from None
            raise DataError(f"{archive}: is damaged ({reason}); get it again") from None
    return target


class _Budget:
    """Counts what was unpacked and stops when it is too much."""

    def __init__(self, archive: Path, packed: int, limits: Limits):
        self.archive, self.packed, self.limits = archive, packed, limits
        self.members = self.bytes = 0
        cache_root().mkdir(parents=True, exist_ok=True)
        self.free = shutil.disk_usage(cache_root()).free

    def add_member(self) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise DataError(f"{self.archive}: holds more than {self.limits.members:,} files; not unpacked")

    def add_bytes(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.total_bytes:
            size = self.limits.total_bytes / 1024**3
            raise DataError(f"{self.archive}: unpacks to more than {size:.0f} GiB; not unpacked")
        if self.bytes > self.limits.ratio_from and self.bytes > self.limits.ratio * max(1, self.packed):
            raise DataError(
                f"{self.archive}: unpacks to more than {self.limits.ratio:.0f} times its size; not unpacked"
            )
        if self.bytes > self.free:
            raise DataError(f"{self.archive}: the disk of {cache_root()} has no room to unpack it")


def _unpack_zip(archive: Path, folder: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as opened:
        _check_start(archive, opened)
        for member in opened.infolist():
            budget.add_member()
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{archive}: {member.filename!r} is a link or device; not unpacked")
            if member.flag_bits & 1:
                raise DataError(f"{archive}: {member.filename!r} is encrypted; unpack it yourself")
            target = _inside(folder, member.filename, archive)
            if member.is_dir() or member.filename.endswith("\\"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                _copy(opened.open(member), target, member.filename, budget)


def _check_start(archive: Path, opened: zipfile.ZipFile) -> None:
    """Refuse zip files that were joined: Python reads the last one alone."""
    with archive.open("rb") as stream:
        starts = stream.read(4) == b"PK\3\4"
    if starts and min((member.header_offset for member in opened.infolist()), default=0) > 0:
        raise DataError(f"{archive}: more than one archive is in it, as if joined; unpack it yourself")


def _unpack_tar(archive: Path, folder: Path, budget: _Budget) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise DataError(f"{archive}: this Python cannot unpack tar files safely; unpack it yourself")
    with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
        for member in opened:
            budget.add_member()
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{archive}: {member.name!r} is a link or device; not unpacked")
            target = _inside(folder, member.name, archive)
            checked = tarfile.data_filter(member, str(folder))
            if checked.isdir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                content = opened.extractfile(member)
                assert content is not None
                _copy(content, target, member.name, budget)
        _check_end(stream, opened.offset, archive, budget)


def _decompressed(archive: Path) -> IO[bytes]:
    """Open a tar file's content, whatever its compression."""
    with archive.open("rb") as stream:
        head = stream.read(6)
    known = [opener for magic, opener in _DECOMPRESSORS.items() if head.startswith(magic)]
    return cast("IO[bytes]", known[0](archive, "rb")) if known else archive.open("rb")


def _check_end(stream: IO[bytes], offset: int, archive: Path, budget: _Budget) -> None:
    """Read a tar file to its end, which is blocks of zeros; Python stops at the first that is not a header.

    Reading on makes gzip, bzip2 and xz compare their checksums, too.
    """
    stream.seek(offset)
    first = stream.read(tarfile.BLOCKSIZE)
    if len(first) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("cut short: its end is missing")
    if any(first):
        raise tarfile.ReadError("a header is not valid")
    for block in _blocks(stream):
        budget.add_bytes(len(block))
        if block.count(0) != len(block):
            raise DataError(
                f"{archive}: more follows after its end, as if archives were joined; unpack it yourself"
            )


def _inside(folder: Path, name: str, archive: Path) -> Path:
    """Return where a member goes, refusing names that lead elsewhere on any platform.

    Backslashes separate folders, as old programs for Windows write them.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name):
        raise DataError(f"{archive}: {name!r} would be written outside the folder; not unpacked")
    if ":" in name or "\0" in name:
        raise DataError(f"{archive}: {name!r} is no file name on every system; unpack it yourself")
    return folder.joinpath(*path.parts)


def _copy(source: AbstractContextManager[IO[bytes]], target: Path, name: str, budget: _Budget) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        raise DataError(f"{budget.archive}: {name!r} is there twice; not unpacked")
    with source as stream, target.open("xb") as out:
        for block in _blocks(stream):
            budget.add_bytes(len(block))
            out.write(block)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block
