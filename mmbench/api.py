"""Running a protocol: what is missing is trained, predicted and scored, and the report is made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmbench.execution.devices import Placement, place
from mmbench.execution.executor import Executor
from mmbench.execution.executors import make_executor
from mmbench.planning.work import Request
from mmbench.plugins.discovery import running_script
from mmbench.protocol.loading import load_protocol, naming_lines
from mmbench.protocol.schema import Protocol
from mmbench.running.events import Listener, Preparing, RunEvent
from mmbench.running.summary import RunSummary, summarise
from mmbench.running.tasks import Followed, Options, carry_out
from mmbench.running.tuning import carry_out_tuning
from mmbench.running.until_decided import carry_out_until_decided, with_design
from mmbench.store.records import LayerName
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan


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
    report: bool = True,
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
        Method files, or folders of them, beside the built-in methods. A script that registers methods
        itself is one of them; its call of ``run`` then belongs under ``if __name__ == "__main__"``.
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
    report : bool
        Make tables, figures and page afterwards; :func:`report` makes them later.
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
    loaded = with_design(loaded, until, max_seeds)
    workers = place(device, jobs)
    options = Options(
        request=Request(only, force, retry_failed),
        checkpoint_every=checkpoint_every,
        time_limit=time_limit,
        allow_mixed=allow_mixed,
        max_seeds=max_seeds,
        deadline=None if max_minutes is None else time.monotonic() + 60 * max_minutes,
        report=report,
    )
    folder = Path(results) if results is not None else Path("results") / loaded.name
    ResultStore(folder).refuse_old_format()
    with nullcontext() if isinstance(protocol, Protocol) else naming_lines(protocol):
        plan = make_plan(
            loaded,
            data_root=Path(data_root).resolve() if data_root is not None else None,
            plugins=dict.fromkeys([*(Path(plugin).resolve() for plugin in plugins), *running_script()]),
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
    plan, trials, tried = carry_out_tuning(plan, store, workers, options, runner, tell)
    looks = None
    if trials is not None:  # time was over before every row was tuned
        work, followed = trials, Followed()
    elif plan.protocol.sequential is None:
        work, followed = carry_out(plan, store, workers, options, runner, tell)
    else:
        plan, work, followed, looks = carry_out_until_decided(plan, store, workers, options, runner, tell)
    followed.add(tried)
    found = summarise(plan, store, work, followed, options, begin)
    # What an earlier stage made is not found by a later one.
    cached = tuple(id for id in found.cached if id not in followed.outcomes)
    return replace(found, cached=cached, looks=looks)


def _ignore(event: RunEvent) -> None:
    """Listen to nothing."""
