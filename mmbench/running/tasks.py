"""Making what is missing of a plan: hand it to an executor, and write failures down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmbench.errors import UnwritableStoreError
from mmbench.execution.devices import Placement
from mmbench.execution.executor import Ending, Executor, Failed, Finished, Found, Outcome, RunTask
from mmbench.files import write_text
from mmbench.planning.work import (
    Request,
    Work,
    notes_on,
    planned_makings,
    recorded_makings,
    take_stock,
)
from mmbench.running.events import Listener, Planned
from mmbench.store.mixtures import mixtures, refuse_mixtures
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan


@dataclass(frozen=True)
class Options:
    """How a plan is carried out.

    Attributes
    ----------
    request : Request
        Which runs, and which layers again.
    checkpoint_every : float
        Seconds between two checkpoints of a training.
    time_limit : float or None
        Seconds after which a run is ended and counts as failed.
    allow_mixed : bool
        Put records into one table that were made with different sources or library versions.
    max_seeds : int or None
        In a group-sequential run, seeds beyond which no look is taken now.
    deadline : float or None
        Of ``time.monotonic``: when to stop, between two runs.
    report : bool
        Make tables, figures and page afterwards.
    """

    request: Request = field(default_factory=Request)
    checkpoint_every: float = 60.0
    time_limit: float | None = None
    allow_mixed: bool = False
    max_seeds: int | None = None
    deadline: float | None = None
    report: bool = True


@dataclass
class Followed:
    """What became of the tasks: outcomes, what another process made meanwhile, and errors, by id."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def add(self, other: Followed) -> None:
        """Add what became of later tasks."""
        self.outcomes |= other.outcomes
        self.found |= other.found
        self.failed |= other.failed
        self.stopped |= other.stopped


def carry_out(
    plan: Plan,
    store: ResultStore,
    workers: Placement,
    options: Options,
    runner: Executor,
    tell: Listener,
) -> tuple[Work, Followed]:
    """Make what is missing of a plan."""
    work = take_stock(plan, store, options.request)
    notes = (*plan.notes, *notes_on(plan, store, work))
    if not options.allow_mixed:
        kept = recorded_makings(plan, store, plan.runs, work.doing)
        refuse_mixtures(store, mixtures([*kept, *planned_makings(plan, work, workers.devices[0])]))
    write_plan(store, plan, notes)
    tell(
        Planned(
            plan=plan,
            work=work,
            results=store.root,
            notes=notes,
            why_skipped="never ran" if options.request.retry_failed else "failed earlier",
            workers=replace(workers, devices=workers.devices[: max(1, len(work.pending))]).describe(),
        )
    )
    tasks = _tasks(plan, store, work, workers, options)
    return work, _follow(tasks, store, tell, runner, options.deadline)


def write_plan(store: ResultStore, plan: Plan, notes: Sequence[str]) -> None:
    """Store a plan, and the table of its labelled subsets."""
    store.save_plan(plan.protocol, plan.runs, plan.domains, plan.report() | {"notes": list(notes)})
    if plan.subsets is not None:
        with store.writing():
            write_text(store.root / "splits.csv", plan.subsets.to_csv(index=False, lineterminator="\n"))


def _tasks(plan: Plan, store: ResultStore, work: Work, workers: Placement, options: Options) -> list[RunTask]:
    return [
        RunTask(
            run,
            tuple(plan.scores(run)),
            plan.protocol,
            store.root,
            plan.data_root,
            plan.plugins,
            threads=workers.threads,
            force=options.request.force,
            failure=store.failure_version(run.id),
            checkpoint_every=options.checkpoint_every,
            time_limit=options.time_limit,
        )
        for run in work.pending
    ]


def _follow(
    tasks: Sequence[RunTask],
    store: ResultStore,
    tell: Listener,
    executor: Executor,
    deadline: float | None = None,
) -> Followed:
    """Run the tasks until all have ended or time is over; a failure is on the disk before anyone is told."""
    runs = {task.id: task.run for task in tasks}
    followed = Followed()
    if not tasks:
        return followed
    try:
        for event in executor.run(tasks):
            if isinstance(event, Ending) and not store.has_plan():
                raise store.removed()
            if isinstance(event, Failed):
                if event.unwritable:
                    raise UnwritableStoreError(event.error)
                followed.failed[event.id] = event.error
                if not event.recorded:
                    store.write_failure(
                        runs[event.id], event.error, event.traceback, event.seconds, event.layer
                    )
            elif isinstance(event, Found):
                followed.found.add(event.id)
            elif isinstance(event, Finished):
                followed.outcomes[event.id] = event.outcome
            tell(event)
            if deadline is not None and time.monotonic() > deadline:
                followed.stopped = len(followed.outcomes) + len(followed.found) + len(followed.failed) < len(
                    tasks
                )
                break
    finally:
        executor.stop()
    return followed
