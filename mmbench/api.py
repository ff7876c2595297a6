"""Running a protocol: what is missing is trained, predicted and scored, and the report is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmbench.analysis.sequential import new_design, take_look
from mmbench.errors import UnwritableStoreError, UserError
from mmbench.execution.devices import Placement, place
from mmbench.execution.executor import (
    Ending,
    Event,
    Executor,
    Failed,
    Finished,
    Found,
    Outcome,
    RunTask,
)
from mmbench.execution.executors import make_executor
from mmbench.files import write_text
from mmbench.planning.looks import check_design, up_to_the_next_look
from mmbench.planning.outlook import family_size
from mmbench.planning.work import (
    Request,
    Work,
    notes_on,
    planned_makings,
    recorded_makings,
    take_stock,
)
from mmbench.protocol.loading import load_protocol, naming_lines
from mmbench.protocol.schema import Protocol, UntilDecided
from mmbench.report.build import Report, make_report
from mmbench.store.lease import waited_lease
from mmbench.store.looks import Looks, read_looks, write_looks
from mmbench.store.mixtures import mixtures, refuse_mixtures
from mmbench.store.records import LayerName
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.planning.plan import Plan


LOOKING = ".looking"
"""The lease that whoever takes a look of a group-sequential run holds."""


@dataclass(frozen=True)
class Preparing:
    """A dataset is being loaded; the first time, its images are decoded or generated."""

    dataset: str


@dataclass(frozen=True)
class Planned:
    """What is going to be done, told before the first worker starts.

    Attributes
    ----------
    plan : Plan
        Runs, leak counts and notes.
    work : Work
        What is missing.
    results : Path
        The result store's folder.
    notes : tuple of str
        What a reader should know of the data and of the finished records.
    why_skipped : str
        Why skipped runs are left alone.
    workers : str
        The workers in a few words.
    """

    plan: Plan
    work: Work
    results: Path
    notes: tuple[str, ...]
    why_skipped: str
    workers: str


@dataclass(frozen=True)
class Looked:
    """A look of a group-sequential run was taken.

    Attributes
    ----------
    looks : Looks
        The design with all looks so far, this one last.
    """

    looks: Looks


RunEvent = Event | Preparing | Planned | Looked
Listener = Callable[[RunEvent], None]


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
    """

    request: Request = field(default_factory=Request)
    checkpoint_every: float = 60.0
    time_limit: float | None = None
    allow_mixed: bool = False
    max_seeds: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What ``mmbench run`` came to.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    results : Path
        The result store's folder.
    trained, predicted, scored : int
        How many runs were trained now, and how many predictions and scores were made.
    done, cached : tuple of str
        Ids of the runs that something was made of now, and of those found complete.
    failed : mapping from str to str
        The error of each run that failed now, or earlier and was not repeated, by id.
    skipped : tuple of str
        Ids of the selected runs that were left alone: failed earlier, or not asked for by
        ``retry_failed``.
    descriptions : mapping from str to str
        Each selected run in a few words, by id.
    report : Report
        The tables over everything that is scored of the protocol, and the files they were written to.
    looks : Looks or None
        Of a group-sequential run.
    seconds : float
        Wall time.
    """

    protocol: str
    results: Path
    trained: int = 0
    predicted: int = 0
    scored: int = 0
    done: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    report: Report
    looks: Looks | None = None
    seconds: float = 0.0

    @property
    def table(self) -> pd.DataFrame | None:
        """The main table, one row per line, unrounded; None when nothing is scored."""
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
    executor: str | Executor = "local",
    only: str | None = None,
    force: LayerName | None = None,
    retry_failed: bool = False,
    checkpoint_every: float = 60.0,
    time_limit: float | None = None,
    allow_mixed: bool = False,
    until: Literal["decided"] | None = None,
    max_seeds: int | None = None,
    max_minutes: float | None = None,
    listener: Listener | None = None,
) -> RunSummary:
    """Make what is missing of a protocol and its report.

    What is stored already is not made again, so the same call resumes after an interruption. A new domain
    only adds predictions and scores; a new threshold or metric only scores.

    Parameters
    ----------
    protocol : str, Path or Protocol
        A protocol file, the bare name of a shipped protocol, or a protocol.
    results : Path, optional
        The results folder; ``results/<protocol>`` when left out.
    data_root : Path, optional
        Folder under which real datasets are.
    plugins : sequence of Path
        Method files, or folders of them, beside the built-in methods.
    jobs : int or "auto"
        Runs side by side; ``auto`` is one per usable CPU, or one per GPU.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``.
    executor : str or Executor
        Where the work is done: a name (``local``: worker processes of this machine), or an executor.
    only : str, optional
        A filter such as ``method=multimix,seed=0``, see :func:`mmbench.planning.only.select`.
    force : {'run', 'predictions', 'scores'}, optional
        Make a layer of the selected runs again, with what is made from it, whether or not it is there.
    retry_failed : bool
        Repeat the selected runs that failed earlier, and only those.
    checkpoint_every : float
        Seconds between two checkpoints of a training.
    time_limit : float, optional
        Seconds after which a run is ended and counts as failed.
    allow_mixed : bool
        Put records into one table that were made with different sources or library versions.
    until : {'decided'}, optional
        Add seeds until every primary comparison is decided, or hardly will be: a group-sequential design of
        3 to 20 seeds, unless the protocol's ``seeds`` or ``max_seeds`` say otherwise.
    max_seeds : int, optional
        Seeds beyond which no look is taken now. The first run of a protocol whose ``seeds`` is a number also
        takes it as the seeds of the design's last look.
    max_minutes : float, optional
        Minutes after which no further run is waited for; the same call goes on later.
    listener : callable, optional
        Told every event as it happens.

    Raises
    ------
    UserError
        If something in the arguments, the protocol, a plugin or the data must be fixed first.
    """
    from mmbench.planning.plan import make_plan

    tell = listener or _ignore
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    loaded = _sequential(loaded, until, max_seeds)
    workers = place(device, jobs)
    options = Options(
        request=Request(only, force, retry_failed),
        checkpoint_every=checkpoint_every,
        time_limit=time_limit,
        allow_mixed=allow_mixed,
        max_seeds=max_seeds,
        deadline=None if max_minutes is None else time.monotonic() + 60 * max_minutes,
    )
    folder = Path(results) if results is not None else Path("results") / loaded.name
    ResultStore(folder).refuse_old_format()
    with nullcontext() if isinstance(protocol, Protocol) else naming_lines(protocol):
        plan = make_plan(
            loaded,
            data_root=Path(data_root).resolve() if data_root is not None else None,
            plugins=[Path(plugin).resolve() for plugin in plugins],
            on_dataset=lambda name: tell(Preparing(dataset=name)),
        )
    return run_plan(plan, folder, workers, options, executor=executor, listener=tell)


def run_plan(
    plan: Plan,
    results: Path,
    workers: Placement,
    options: Options | None = None,
    *,
    executor: str | Executor = "local",
    listener: Listener | None = None,
) -> RunSummary:
    """Make what is missing of a plan; see :func:`run`.

    Parameters
    ----------
    plan : Plan
        From :func:`mmbench.planning.plan.make_plan`.
    results : Path
        The results folder.
    workers : Placement
        From :func:`mmbench.execution.devices.place`.
    options : Options, optional
        How.
    executor : str or Executor
        Where the work is done.
    listener : callable, optional
        Told every event as it happens.
    """
    begin = time.monotonic()
    tell, options = listener or _ignore, options or Options()
    store = ResultStore(results.resolve())
    runner = make_executor(executor, workers) if isinstance(executor, str) else executor
    if plan.protocol.sequential is None:
        work, followed = _carry_out(plan, store, workers, options, runner, tell)
        return _summary(plan, store, work, followed, options, begin)
    everything = _Followed()
    looks = _design(plan, store)
    while True:
        stage = up_to_the_next_look(plan, looks)
        work, followed = _carry_out(stage, store, workers, options, runner, tell)
        everything.add(followed)
        seeds = looks.next_seeds
        beyond = seeds is None or (options.max_seeds is not None and seeds > options.max_seeds)
        if beyond or followed.stopped or options.request != Request():
            break
        looks = _look(stage, store)
        tell(Looked(looks))
        following = looks.next_seeds
        if following is None or (options.max_seeds is not None and following > options.max_seeds):
            break
    found = _summary(stage, store, work, everything, options, begin)
    # What an earlier stage made is not found by a later one.
    cached = tuple(id for id in found.cached if id not in everything.outcomes)
    return replace(found, cached=cached, looks=looks)


def _sequential(protocol: Protocol, until: str | None, max_seeds: int | None) -> Protocol:
    """Return a protocol with the group-sequential design that is asked for beside it."""
    if until is None or protocol.sequential is not None:
        return protocol
    if protocol.crossed:
        raise UserError(
            "until decided needs a labelled subset for each seed; remove subsets from the protocol"
        )
    most = max(2, max_seeds or UntilDecided().most)
    design = UntilDecided(first=min(UntilDecided().first, most), most=most)
    return protocol.model_copy(update={"seeds": design})


def _design(plan: Plan, store: ResultStore) -> Looks:
    """Return the looks of a results folder so far, or a new design."""
    asked = plan.protocol.sequential
    assert asked is not None
    looks = read_looks(store)
    if looks is None:
        return new_design(plan.protocol, family_size(plan), asked.first, asked.most)
    check_design(looks, asked)
    return looks


def _look(plan: Plan, store: ResultStore) -> Looks:
    """Take the next look, unless whoever shares the results folder has just taken it."""
    from mmbench.analysis.analysis import primary_of
    from mmbench.analysis.results import read_results

    before = len(_design(plan, store).looks)
    with waited_lease(store.root, LOOKING):
        looks = _design(plan, store)
        if len(looks.looks) == before:
            looks = take_look(primary_of(read_results(store.root)), plan.protocol, looks)
            write_looks(store, looks)
    return _design(plan, store)


def _carry_out(
    plan: Plan,
    store: ResultStore,
    workers: Placement,
    options: Options,
    runner: Executor,
    tell: Listener,
) -> tuple[Work, _Followed]:
    """Make what is missing of a plan."""
    work = take_stock(plan, store, options.request)
    notes = (*plan.notes, *notes_on(plan, store, work))
    if not options.allow_mixed:
        kept = recorded_makings(plan, store, plan.runs, work.doing)
        refuse_mixtures(store, mixtures([*kept, *planned_makings(plan, work, workers.devices[0])]))
    _write_plan(store, plan, notes)
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


def _ignore(event: RunEvent) -> None:
    """Listen to nothing."""


def _write_plan(store: ResultStore, plan: Plan, notes: Sequence[str]) -> None:
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


@dataclass
class _Followed:
    """What became of the tasks: outcomes, what another process made meanwhile, and errors, by id."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def add(self, other: _Followed) -> None:
        """Add what became of later tasks."""
        self.outcomes |= other.outcomes
        self.found |= other.found
        self.failed |= other.failed
        self.stopped |= other.stopped


def _follow(
    tasks: Sequence[RunTask],
    store: ResultStore,
    tell: Listener,
    executor: Executor,
    deadline: float | None = None,
) -> _Followed:
    """Run the tasks until all have ended or time is over; a failure is on the disk before anyone is told."""
    runs = {task.id: task.run for task in tasks}
    followed = _Followed()
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


def _summary(
    plan: Plan, store: ResultStore, work: Work, followed: _Followed, options: Options, begin: float
) -> RunSummary:
    outcomes = followed.outcomes
    earlier = {run.id: work.failures[run.id].error for run in work.skipped if run.id in work.failures}
    return RunSummary(
        protocol=plan.protocol.name,
        results=store.root,
        trained=sum(outcome.trained for outcome in outcomes.values()),
        predicted=sum(outcome.predicted for outcome in outcomes.values()),
        scored=sum(outcome.scored for outcome in outcomes.values()),
        done=tuple(outcomes),
        cached=(*(run.id for run in work.finished), *followed.found),
        failed={**earlier, **followed.failed},
        skipped=tuple(run.id for run in work.skipped),
        descriptions={run.id: run.describe() for run in work.chosen},
        report=make_report(store.root, allow_mixed=options.allow_mixed),
        seconds=time.monotonic() - begin,
    )
