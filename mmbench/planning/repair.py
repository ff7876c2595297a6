"""What is damaged in a results folder and in the cache, and which runs must be completed again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mmbench.data.cache import damage, entries
from mmbench.errors import StoreError
from mmbench.store.integrity import Fault, examine, repair
from mmbench.store.store import ResultStore


def find_faults(store: ResultStore) -> list[Fault]:
    """Check every file of a results folder, and the cache, against its checksum; nothing is changed."""
    cached = [Fault("cache", folder, what) for folder in entries() if (what := damage(folder))]
    return [*examine(store), *cached]


def repair_faults(store: ResultStore, faults: Sequence[Fault]) -> dict[str, str]:
    """Set damaged files aside, and remove leftovers and damaged cache entries, which are made again.

    Returns
    -------
    dict of str to str
        What was done about each fault, by its path.

    Raises
    ------
    UnwritableStoreError
        If the folder cannot be written.
    """
    done = repair(store, [fault for fault in faults if fault.kind != "cache"])
    for fault in faults:
        if fault.kind == "cache":
            _remove(fault.path)
            done[str(fault.path)] = "removed; the next run makes it again"
    return done


def affected_runs(store: ResultStore, faults: Sequence[Fault]) -> list[str]:
    """Return the ids of the planned runs that lack something once faults are repaired.

    Parameters
    ----------
    store : ResultStore
        What was examined.
    faults : sequence of Fault
        From :func:`find_faults`.
    """
    try:
        plan = store.load_plan()
    except StoreError:
        return []
    records = ("run", "predictions", "scores", "failure")
    lost = {fault.run for fault in faults if fault.kind in records}
    truths = {fault.path.name for fault in faults if fault.kind == "ground_truth"}
    return [
        run.id
        for run in plan.runs
        if run.id in lost or any(spec.predictions.ground_truth in truths for spec in plan.scores(run))
    ]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)
