"""Tuning before the runs that count: the waves of trials, as runs like others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mmbench.execution.devices import Placement
from mmbench.execution.executor import Executor
from mmbench.planning.only import select
from mmbench.planning.tuning import searches, with_tuned
from mmbench.planning.work import Request, Work
from mmbench.running.events import Chosen, Listener
from mmbench.running.tasks import Followed, Options, carry_out
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan


def carry_out_tuning(
    plan: Plan,
    store: ResultStore,
    workers: Placement,
    options: Options,
    runner: Executor,
    tell: Listener,
) -> tuple[Plan, Work | None, Followed]:
    """Make the trials that are missing, wave by wave, and choose each row's values.

    Returns
    -------
    tuple of Plan, Work or None, and Followed
        The plan with the values that were best; or, where time was over before, the plan of the trials with
        what was missing of it. And what became of all trials.
    """
    if plan.protocol.tune is None:
        return plan, None, Followed()
    chosen = {(run.label, tuple(run.budgets.items())) for run in select(plan.runs, options.request.only)}
    wanted = [one for one in searches(plan) if (one.row, one.budgets) in chosen]
    everything = Followed()
    request = Request(retry_failed=options.request.retry_failed)
    while True:
        found = [search.trials(store) for search in wanted]
        runs = {run.id: run for trials in found for run, _ in trials}
        states = {tried.state for trials in found for _, tried in trials}
        retried = request.retry_failed and "failed" in states
        if "missing" not in states and not retried:
            best = [search.tuned(trials) for search, trials in zip(wanted, found, strict=True)]
            tell(Chosen(tuple(best)))
            return with_tuned(plan, best), None, everything
        stage = replace(plan, runs=list(runs.values()))
        now = replace(options, request=Request(retry_failed=retried))
        work, followed = carry_out(stage, store, workers, now, runner, tell)
        everything.add(followed)
        request = Request()
        if followed.stopped:
            return stage, work, everything
