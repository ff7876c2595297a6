"""Finding what is damaged in a results folder and in the cache, and mending it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.data.cache import damage, entries
from mmbench.errors import StoreError
from mmbench.files import DamagedFileError, read_sealed
from mmbench.store.lease import leased
from mmbench.store.store import ResultStore
from mmbench.store.upkeep import leftovers, quarantine, sweep


@dataclass(frozen=True)
class Problem:
    """Something that should not be as it is.

    Attributes
    ----------
    kind : str
        ``plan``, ``record``, ``failure``, ``checkpoint``, ``leftover`` or ``cache``.
    path : Path
        The file or folder.
    what : str
        What is wrong, in one line.
    run : str or None
        The id of the run that it is of, if it is of one.
    """

    kind: str
    path: Path
    what: str
    run: str | None = None


def examine(store: ResultStore) -> list[Problem]:
    """Check every file of a results folder, and the cache, against its checksum; nothing is changed.

    Parameters
    ----------
    store : ResultStore
        What to examine; runs that a run is computing now are left out.
    """
    busy = leased(store.leases_folder)
    return [
        *_plan(store),
        *_records(store),
        *_failures(store),
        *_checkpoints(store, busy),
        *_leftovers(store, busy),
        *(Problem("cache", folder, what) for folder in entries() if (what := damage(folder))),
    ]


def repair(store: ResultStore, problems: Sequence[Problem]) -> dict[str, str]:
    """Set damaged files aside, and remove leftovers and damaged cache entries, which are made again.

    Parameters
    ----------
    store : ResultStore
        What was examined.
    problems : sequence of Problem
        From :func:`examine`.

    Returns
    -------
    dict of str to str
        What was done about each problem, by its path; a damaged plan is left for the next run to replace.

    Raises
    ------
    UnwritableStoreError
        If the folder cannot be written.
    """
    done = {}
    with store.writing():
        for problem in problems:
            path = problem.path
            if problem.kind == "plan":
                done[str(path)] = "left for the next run, which writes it again"
            elif problem.kind == "leftover":
                sweep(store, problem.run) if problem.run else path.unlink()
                done[str(path)] = "removed"
            elif problem.kind == "cache":
                shutil.rmtree(path)
                done[str(path)] = "removed; the next run makes it again"
            else:
                done[str(path)] = f"set aside as {quarantine(store, path)}"
    return done


def _plan(store: ResultStore) -> Iterator[Problem]:
    try:
        store.load_plan()
    except StoreError as error:
        yield Problem("plan", store.root / "plan.json", str(error))


def _records(store: ResultStore) -> Iterator[Problem]:
    for id in store.recorded():
        try:
            store.verify(id)
        except StoreError as error:
            yield Problem("record", store.folder(id), _shortly(store, error), id)


def _failures(store: ResultStore) -> Iterator[Problem]:
    for path in store.failure_files():
        try:
            store.read_failure(path)
        except StoreError as error:
            yield Problem("failure", path, _shortly(store, error), path.stem)


def _checkpoints(store: ResultStore, busy: set[str]) -> Iterator[Problem]:
    for path in store.checkpoints():
        if path.name in busy:
            continue
        if store.is_finished(path.name):
            yield Problem("leftover", path, "the run is finished without it")
            continue
        try:
            read_sealed(path)
        except (DamagedFileError, OSError) as error:
            yield Problem("checkpoint", path, str(error))


def _leftovers(store: ResultStore, busy: set[str]) -> Iterator[Problem]:
    for id, path in leftovers(store):
        if id not in busy:
            yield Problem("leftover", path, "a writer was killed here", id)


def _shortly(store: ResultStore, error: StoreError) -> str:
    """Return an error without how to mend it, and without where every file lies."""
    return str(error).partition("; mend")[0].replace(f"{store.root}/", "")
