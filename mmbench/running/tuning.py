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
    every = searches(plan)
    asked, everything = options.request, Followed()
    made, again = set[str](), asked.retry_failed
    while True:
        found = [search.trials(store) for search in every]
        best = [search.tuned(trials) for search, trials in zip(every, found, strict=True)]
        known = with_tuned(plan, best)
        # Trials of what is not asked for now are left alone.
        wanted = {(run.label, tuple(run.budgets.items())) for run in select(known.runs, asked.only)}
        trials = {
            run.id: (run, tried.state)
            for search, own in zip(every, found, strict=True)
            if (search.row, search.budgets) in wanted
            for run, tried in own
        }
        todo = {id for id, (_, state) in trials.items() if state == "missing"}
        if asked.force == "run":
            todo |= trials.keys() - made
        retried = again and any(state == "failed" for _, state in trials.values())
        if retried:
            todo = {id for id, (_, state) in trials.items() if state == "failed"}
        again = False
        if not todo:
            tell(Chosen(tuple(one for one in best if (one.row, tuple(one.budgets.items())) in wanted)))
            return known, None, everything
        made |= todo
        # What is there stays in the plan while trials are made, unless all of it is to be made again.
        kept = [] if asked.force == "run" else known.runs
        stage = replace(known, runs=[*kept, *(run for run, _ in trials.values())])
        request = Request(
            force=asked.force if asked.force == "run" else None, retry_failed=retried, ids=frozenset(todo)
        )
        work, followed = carry_out(stage, store, workers, replace(options, request=request), runner, tell)
        everything.add(followed)
        if followed.stopped:
            return stage, work, everything
