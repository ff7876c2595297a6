"""Seeds until every primary comparison is decided: the looks of a group-sequential run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.analysis.sequential import new_design, take_look
from mmbench.errors import UserError
from mmbench.execution.devices import Placement
from mmbench.execution.executor import Executor
from mmbench.planning.looks import check_design, up_to_the_next_look
from mmbench.planning.outlook import family_size
from mmbench.planning.work import Request, Work
from mmbench.protocol.schema import Protocol, UntilDecided
from mmbench.running.events import Listener, Looked
from mmbench.running.tasks import Followed, Options, carry_out, write_plan
from mmbench.store.lease import waited_lease
from mmbench.store.looks import Looks, read_looks, write_looks
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.analysis.results import Results
    from mmbench.planning.plan import Plan

LOOKING = ".looking"
"""The lease that whoever takes a look of a group-sequential run holds."""


def with_design(protocol: Protocol, until: str | None, max_seeds: int | None) -> Protocol:
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


def carry_out_until_decided(
    plan: Plan,
    store: ResultStore,
    workers: Placement,
    options: Options,
    runner: Executor,
    tell: Listener,
) -> tuple[Plan, Work, Followed, Looks]:
    """Make what each look needs and take it, until the design ends or may not go on now.

    Returns
    -------
    tuple of Plan, Work, Followed and Looks
        The plan up to the last look and what was missing of it, what became of all tasks, and the looks.
    """
    everything = Followed()
    looks = _design(plan, store)
    while True:
        stage = up_to_the_next_look(plan, looks)
        work, followed = carry_out(stage, store, workers, options, runner, tell)
        everything.add(followed)
        if _over(looks, options) or followed.stopped or options.request != Request():
            return stage, work, everything, looks
        looks = _look(stage, store, looks)
        tell(Looked(looks))
        if _over(looks, options):
            return stage, work, everything, looks


def _over(looks: Looks, options: Options) -> bool:
    """Whether there is no next look, or it needs more seeds than are allowed now."""
    seeds = looks.next_seeds
    return seeds is None or (options.max_seeds is not None and seeds > options.max_seeds)


def _design(plan: Plan, store: ResultStore) -> Looks:
    """Return the looks of a results folder so far, or a new design."""
    asked = plan.protocol.sequential
    assert asked is not None
    looks = read_looks(store)
    if looks is None:
        return new_design(plan.protocol, family_size(plan), asked.first, asked.most)
    check_design(looks, asked)
    return looks


def _look(plan: Plan, store: ResultStore, known: Looks) -> Looks:
    """Take the look that a plan was made for, unless whoever shares the results folder has taken it."""
    from mmbench.analysis.analysis import primary_of

    with waited_lease(store.root, LOOKING):
        looks = _design(plan, store)
        if len(looks.looks) == len(known.looks):
            looks = take_look(primary_of(_results_of(plan, store)), plan.protocol, looks)
            write_looks(store, looks)
    return _design(plan, store)


def _results_of(plan: Plan, store: ResultStore) -> Results:
    """Return what there is of a plan: who lags behind may have stored that of an earlier look."""
    from mmbench.analysis.results import read_results

    wanted = {run.id for run in plan.runs}
    found = read_results(store.root)
    while {run.id for run in found.runs} != wanted:
        write_plan(store, plan, plan.notes)
        found = read_results(store.root)
    return found
