"""Running a protocol: what is missing is trained, what is there is kept, and the table is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import UnwritableStoreError, UserError
from mmbench.execution.devices import Placement, place
from mmbench.execution.executor import Ending, Event, Executor, Failed, Found, RunTask
from mmbench.execution.local import LocalExecutor
from mmbench.files import write_text
from mmbench.planning.only import select
from mmbench.planning.schedule import longest_first, plan_costs
from mmbench.planning.staleness import stale_notes
from mmbench.protocol.files import load_protocol, naming_lines
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.report.build import Report, make_report
from mmbench.store.environment import capture
from mmbench.store.provenance import mixtures, refuse_mixtures
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.planning.plan import Plan


@dataclass(frozen=True)
class Preparing:
    """A dataset is being loaded; the first time, its images are decoded or generated."""

    dataset: str


@dataclass(frozen=True)
class Planned:
    """What a run is going to do, told before the first run starts.

    Attributes
    ----------
    plan : Plan
        Runs, leak counts and notes.
    results : Path
        The result store's folder.
    pending : tuple of (str, str, float)
        Id, description and relative cost of every run that will run, in the order of their start.
    cached, skipped : int
        Selected runs that are finished already, and those left alone.
    why_skipped : str
        Why they are left alone.
    workers : str
        The workers in a few words.
    """

    plan: Plan
    results: Path
    pending: tuple[tuple[str, str, float], ...]
    cached: int
    skipped: int
    why_skipped: str
    workers: str


RunEvent = Event | Preparing | Planned
Listener = Callable[[RunEvent], None]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a run came to.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    results : Path
        The result store's folder.
    done, cached : tuple of str
        Ids of the runs trained now, and of those found finished.
    failed : dict of str to str
        The error of each run that failed now, or earlier and was not repeated, by id.
    skipped : tuple of str
        Ids of the selected runs that were left alone: failed earlier, or not asked for by
        ``retry_failed``.
    descriptions : dict of str to str
        Each selected run in a few words, by id.
    report : Report
        The tables over every finished run of the protocol, and the files they were written to.
    seconds : float
        Wall time.
    """

    protocol: str
    results: Path
    done: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    report: Report
    seconds: float = 0.0

    @property
    def table(self) -> pd.DataFrame | None:
        """The main table, one row per line, unrounded; None when no run is finished."""
        return self.report.table

    @property
    def paths(self) -> tuple[Path, ...]:
        """The table files written."""
        return self.report.paths

    @property
    def exit_code(self) -> int:
        """1 when a selected run stands as failed, otherwise 0."""
        return 1 if self.failed else 0


def run(
    protocol: str | Path | Protocol,
    *,
    results: Path | str | None = None,
    data_root: Path | str | None = None,
    plugins: Sequence[Path | str] = (),
    jobs: int | str = "auto",
    device: str = "auto",
    only: str | None = None,
    force: bool = False,
    retry_failed: bool = False,
    checkpoint_every: float = 60.0,
    time_limit: float | None = None,
    allow_mixed: bool = False,
    listener: Callable[[RunEvent], None] | None = None,
) -> RunSummary:
    """Run what is missing of a protocol and make its table.

    Finished runs are skipped, so the same call goes on after an interruption.

    Parameters
    ----------
    protocol : str, Path or Protocol
        A protocol file, the bare name of a shipped protocol, or a protocol.
    results : Path, optional
        The results folder; ``results/<protocol>`` when left out.
    data_root : Path, optional
        Folder under which real datasets lie.
    plugins : sequence of Path
        Method files, or folders of them, beside the built-in methods.
    jobs : int or "auto"
        Runs side by side; ``auto`` is one per usable CPU, or one per GPU.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``.
    only : str, optional
        A filter such as ``method=multimix,seed=0``, see :func:`mmbench.planning.only.select`.
    force : bool
        Train the selected runs again, whether they are finished or not.
    retry_failed : bool
        Repeat the selected runs that failed earlier, and only those.
    checkpoint_every : float
        Seconds between two checkpoints of a training.
    time_limit : float, optional
        Seconds after which a run is ended and counts as failed.
    allow_mixed : bool
        Put records into one table that were made with different sources or library versions.
    listener : callable, optional
        Told every event as it happens.

    Raises
    ------
    UserError
        If something in the arguments, the protocol, a plugin or the data must be mended first.
    """
    from mmbench.planning.plan import make_plan

    tell = listener or _ignore
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    workers = place(device, jobs)
    root = Path(data_root).resolve() if data_root is not None else None
    files = tuple(Path(plugin).resolve() for plugin in plugins)
    with nullcontext() if isinstance(protocol, Protocol) else naming_lines(protocol):
        plan = make_plan(
            loaded, data_root=root, plugins=files, on_dataset=lambda name: tell(Preparing(dataset=name))
        )
    return run_plan(
        plan,
        results=Path(results) if results is not None else Path("results") / loaded.name,
        data_root=root,
        plugins=files,
        workers=workers,
        only=only,
        force=force,
        retry_failed=retry_failed,
        checkpoint_every=checkpoint_every,
        time_limit=time_limit,
        allow_mixed=allow_mixed,
        listener=tell,
    )


def run_plan(
    plan: Plan,
    *,
    results: Path,
    workers: Placement,
    data_root: Path | None = None,
    plugins: tuple[Path, ...] = (),
    only: str | None = None,
    force: bool = False,
    retry_failed: bool = False,
    checkpoint_every: float = 60.0,
    time_limit: float | None = None,
    allow_mixed: bool = False,
    listener: Callable[[RunEvent], None] | None = None,
    executor: Executor | None = None,
) -> RunSummary:
    """Run what is missing of a plan; see :func:`run`.

    Parameters
    ----------
    plan : Plan
        From :func:`mmbench.planning.plan.make_plan`.
    results : Path
        The results folder.
    workers : Placement
        From :func:`mmbench.execution.devices.place`.
    executor : Executor, optional
        Where the runs run; worker processes of this machine when left out.
    """
    begin = time.monotonic()
    tell = listener or _ignore
    results = results.resolve()
    store = ResultStore(results)
    chosen = select(plan.runs, only)
    if force and retry_failed:
        raise UserError("force and retry_failed contradict each other; give one of them")
    finished, failures = store.finished(), store.failed()
    cached = [] if force else [run for run in chosen if run.id in finished]
    open_runs = chosen if force else [run for run in chosen if run.id not in finished]
    pending = [run for run in open_runs if force or (run.id in failures) == retry_failed]
    plan.notes.extend(stale_notes(store, cached, plan))
    costs = plan_costs(plan)
    pending = longest_first(pending, costs)
    running = {run.id for run in pending}
    skipped = [run for run in open_runs if run.id not in running]
    failed = {run.id: failures[run.id].error for run in skipped if run.id in failures}
    if not allow_mixed:
        refuse_mixtures(store, mixtures(_makings(plan, store, finished - running, pending)))

    store.save_plan(plan.protocol, plan.runs, plan_report(plan))
    if plan.splits is not None:
        write_text(results / "splits.csv", plan.splits.to_csv(index=False, lineterminator="\n"))
    tell(
        Planned(
            plan=plan,
            results=results,
            pending=tuple((run.id, run.describe(), costs[run.id]) for run in pending),
            cached=len(cached),
            skipped=len(skipped),
            why_skipped="never ran" if retry_failed else "failed earlier",
            workers=Placement(workers.devices[: max(1, len(pending))], workers.threads).describe(),
        )
    )
    tasks = [
        RunTask(
            run,
            plan.protocol,
            results,
            data_root,
            plugins,
            threads=workers.threads,
            force=force,
            failure=store.failure_version(run.id),
            checkpoint_every=checkpoint_every,
            time_limit=time_limit,
        )
        for run in pending
    ]
    executor = executor or LocalExecutor(workers.devices, workers.threads)
    found, failed_now = _follow(tasks, store, tell, executor)
    return RunSummary(
        protocol=plan.protocol.name,
        results=results,
        done=tuple(run.id for run in pending if run.id not in failed_now.keys() | found),
        cached=(*(run.id for run in cached), *found),
        failed={**failed, **failed_now},
        skipped=tuple(run.id for run in skipped),
        descriptions={run.id: run.describe() for run in chosen},
        report=make_report(results, allow_mixed=allow_mixed),
        seconds=time.monotonic() - begin,
    )


def _ignore(event: RunEvent) -> None:
    """Listen to nothing."""


def _follow(
    tasks: Sequence[RunTask], store: ResultStore, tell: Listener, executor: Executor
) -> tuple[set[str], dict[str, str]]:
    """Run the tasks; return the ids that another run has done meanwhile, and the errors by id.

    A failure is on the disk before anyone is told.
    """
    runs = {task.id: task.run for task in tasks}
    found: set[str] = set()
    failed: dict[str, str] = {}
    if not tasks:
        return found, failed
    try:
        for event in executor.run(tasks):
            if isinstance(event, Ending) and not store.has_plan():
                raise UnwritableStoreError(
                    f"{store.root}: the folder was removed while the run was going; run the command again"
                )
            if isinstance(event, Failed):
                if event.unwritable:
                    raise UnwritableStoreError(event.error)
                failed[event.id] = event.error
                if not event.recorded:
                    store.write_failure(runs[event.id], event.error, event.traceback, event.seconds)
            elif isinstance(event, Found):
                found.add(event.id)
            tell(event)
    finally:
        executor.stop()
    return found, failed


def _makings(
    plan: Plan, store: ResultStore, kept: Collection[str], pending: Sequence[RunSpec]
) -> Iterator[Mapping[str, Any]]:
    """Yield how every record of the plan was made, or is going to be."""
    for run in plan.runs:
        if run.id in kept:
            yield store.content(run.id)
    # Only where something is to be made: describing the environment asks git.
    environment = capture().model_dump(mode="json") if pending else None
    for run in pending:
        source = plan.methods[run.label].source_digest
        yield {"run": {"label": run.label}, "method_source": source, "environment": environment}


def plan_report(plan: Plan) -> dict[str, object]:
    """Return what the plan found out about the data and the methods, as JSON values for the store."""
    return {
        "notes": plan.notes,
        "case_counts": plan.case_counts,
        "part_counts": plan.part_counts,
        "leaks": plan.leaks.to_json(),
        "trivial_baselines": [label for label, summary in plan.methods.items() if summary.trivial],
    }
