"""Finding what is damaged in a results folder, and setting it aside so that it is made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbench.errors import StoreError
from mmbench.files import DamagedFileError, read_sealed
from mmbench.store.layer import Layer
from mmbench.store.lease import leased
from mmbench.store.store import ResultStore
from mmbench.store.upkeep import leftovers, quarantine, sweep


@dataclass(frozen=True)
class Fault:
    """Something in a results folder that should not be as it is.

    Attributes
    ----------
    kind : str
        ``plan``, ``run``, ``predictions``, ``scores``, ``ground_truth``, ``failure``, ``checkpoint`` or
        ``leftover``.
    path : Path
        The file or folder.
    what : str
        What is wrong, in one line.
    run : str or None
        The id of the run that it belongs to, where that is known.
    """

    kind: str
    path: Path
    what: str
    run: str | None = None


def examine(store: ResultStore) -> list[Fault]:
    """Check every file of a results folder against its checksum; nothing is changed.

    Parameters
    ----------
    store : ResultStore
        What to examine; runs that a process is working on now are left out.

    Raises
    ------
    StoreError
        If the folder is of an earlier format.
    """
    store.refuse_old_format()
    busy = leased(store.leases_folder)
    owners = _owners(store)
    return [
        *_plan(store),
        *(fault for layer in store.layers for fault in _records(store, layer, owners, busy)),
        *_failures(store),
        *_checkpoints(store, busy),
        *_leftovers(store, busy),
    ]


def repair(store: ResultStore, faults: Sequence[Fault]) -> dict[str, str]:
    """Set damaged files aside and remove leftovers.

    Parameters
    ----------
    store : ResultStore
        What was examined.
    faults : sequence of Fault
        From :func:`examine`.

    Returns
    -------
    dict of str to str
        What was done about each fault, by its path; a damaged plan is left for the next run to replace.

    Raises
    ------
    UnwritableStoreError
        If the folder cannot be written.
    """
    done = {}
    for fault in faults:
        path = fault.path
        if fault.kind == "plan":
            done[str(path)] = "left for the next run, which writes it again"
        elif fault.kind == "leftover":
            _remove(store, path)
            done[str(path)] = "removed"
        else:
            done[str(path)] = f"set aside as {quarantine(store, path)}"
    return done


def _remove(store: ResultStore, path: Path) -> None:
    owner = next((id for id, found in leftovers(store) if found == path), None)
    if owner is not None:
        sweep(store, [owner])
    else:
        with store.writing():
            path.unlink(missing_ok=True)


def _owners(store: ResultStore) -> dict[str, str]:
    """Return the run of every planned predictions' and scores' id; empty where the plan is damaged."""
    try:
        plan = store.load_plan()
    except StoreError:
        return {}
    owners = {run.id: run.id for run in plan.runs}
    for run in plan.runs:
        for spec in plan.scores(run):
            owners |= {spec.id: run.id, spec.predictions.id: run.id}
    return owners


def _plan(store: ResultStore) -> Iterator[Fault]:
    try:
        store.load_plan()
    except StoreError as error:
        yield Fault("plan", store.root / "plan.json", str(error))


def _records(
    store: ResultStore, layer: Layer[Any], owners: dict[str, str], busy: set[str]
) -> Iterator[Fault]:
    kind = "run" if layer is store.runs else layer.name
    for id in layer.ids():
        run = owners.get(id)
        if run in busy or (run is None and busy):
            continue  # it may be replaced at this moment
        try:
            layer.verify(id)
        except StoreError as error:
            yield Fault(kind, layer.folder(id), _shortly(store, error), run)


def _failures(store: ResultStore) -> Iterator[Fault]:
    for path in store.failure_files():
        try:
            store.read_failure(path)
        except StoreError as error:
            yield Fault("failure", path, _shortly(store, error), path.stem)


def _checkpoints(store: ResultStore, busy: set[str]) -> Iterator[Fault]:
    for path in store.checkpoints():
        if path.name in busy:
            continue
        if store.runs.has(path.name) and not store.failure_path(path.name).exists():
            yield Fault("leftover", path, "the run is finished without it")
            continue
        try:
            read_sealed(path)
        except (DamagedFileError, OSError) as error:
            yield Fault("checkpoint", path, str(error))


def _leftovers(store: ResultStore, busy: set[str]) -> Iterator[Fault]:
    for id, path in leftovers(store):
        runs_own = path.parent in (store.runs.home, store.failures_folder, store.checkpoints_folder)
        if id not in busy if runs_own else not busy:
            yield Fault("leftover", path, "a writer was killed here", id)


def _shortly(store: ResultStore, error: StoreError) -> str:
    """Return an error without how to fix it, and without where every file is."""
    return str(error).partition("; fix")[0].replace(f"{store.root}/", "")
