"""The right to compute a run, held by one process at a time, on one machine or over a shared folder.

A lease is a file ``<name>.<generation>``, made exclusively. While its holder lives it keeps the file's
time fresh. A lease whose holder is dead (same machine), or whose time has not moved for ``EXPIRY`` seconds
(any machine), may be taken over by making the next generation, which only one process can; nothing that
may be alive is ever deleted by somebody else.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

HEARTBEAT = 10.0
"""Seconds between two signs of life."""
EXPIRY = 120.0
"""Seconds without a sign of life after which a holder on another machine counts as dead: more than a
network file system keeps a file's attributes cached."""
PATIENCE = 0.1
"""Seconds between two looks at a lease that is waited for."""


@contextmanager
def lease(folder: Path, name: str) -> Iterator[bool]:
    """Hold the lease of ``name`` while the block runs.

    Parameters
    ----------
    folder : Path
        Where the leases of one results folder lie; made if needed.
    name : str
        What is leased, such as a run's id.

    Yields
    ------
    bool
        Whether this process holds it; False when another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _take(folder, name)
    if path is None:
        yield False
        return
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, ended), daemon=True)
    heart.start()
    try:
        yield True
    finally:
        ended.set()
        heart.join()
        path.unlink(missing_ok=True)


@contextmanager
def waited_lease(folder: Path, name: str) -> Iterator[None]:
    """Hold the lease of ``name`` while the block runs, having waited until nobody else does."""
    while True:
        with lease(folder, name) as held:
            if held:
                yield
                return
        time.sleep(PATIENCE)


def leased(folder: Path) -> set[str]:
    """Return the names whose lease is held by a process that may be alive."""
    names = {path.name.rpartition(".")[0] for path in _files(folder)}
    return {name for name in names if (held := _held(folder, name)) and _alive(held[1])}


def _take(folder: Path, name: str) -> Path | None:
    held = _held(folder, name)
    if held is not None and _alive(held[1]):
        return None
    generation = held[0] + 1 if held is not None else 1
    path = folder / f"{name}.{generation}"
    try:
        stream = path.open("x", encoding="utf-8")
    except FileExistsError:
        return None
    try:
        with stream:
            json.dump(_myself(), stream)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    # Between the look and the making, others may have come and gone through later generations.
    now = _held(folder, name)
    if now is None or now[0] != generation:
        path.unlink(missing_ok=True)
        return None
    for old in _files(folder, name):
        if _generation(old) < generation:
            old.unlink(missing_ok=True)
    return path


def _held(folder: Path, name: str) -> tuple[int, Path] | None:
    """Return the highest generation of a lease and its file."""
    return max(((_generation(path), path) for path in _files(folder, name)), default=None)


def _files(folder: Path, name: str | None = None) -> list[Path]:
    try:
        entries = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [
        folder / entry
        for entry in entries
        if entry.rpartition(".")[2].isdigit() and name in (None, entry.rpartition(".")[0])
    ]


def _generation(path: Path) -> int:
    return int(path.name.rpartition(".")[2])


def _alive(path: Path) -> bool:
    try:
        # Opening makes a network file system look at the file anew.
        with path.open(encoding="utf-8") as stream:
            content = stream.read()
            age = _now(path.parent) - os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return False
    try:
        holder = json.loads(content)
        here = holder["machine"] == _myself()["machine"]
    except (ValueError, KeyError, TypeError):
        return age < EXPIRY  # just made, and not yet written
    if here and _started(int(holder["process"])) != holder["started"]:
        return False
    return here or age < EXPIRY


def _now(folder: Path) -> float:
    """Return the time by the clock of the file system, which may be another machine's."""
    probe = folder / f".clock.{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(path)


def _myself() -> dict[str, str | int]:
    process = os.getpid()
    return {"machine": _machine(), "process": process, "started": _started(process)}


@cache
def _machine() -> str:
    """Return what is equal for two processes that can see each other: boot, and process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{platform.node()} {uuid.getnode()}"


def _started(process: int) -> str:
    """Return when a process began, in a form to compare; empty if there is none.

    Numbers of processes are used again, beginnings are not.
    """
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
