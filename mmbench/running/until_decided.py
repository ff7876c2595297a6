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
from mmbench.running.tasks import Followed, Options, carry_out
from mmbench.store.lease import waited_lease
from mmbench.store.looks import Looks, read_looks, write_looks
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
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
        looks = _look(stage, store)
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
