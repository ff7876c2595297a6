"""Which runs a group-sequential design asks for next."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from mmbench.errors import UserError
from mmbench.planning.plan import Plan
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import UntilDecided
from mmbench.stats.sequential import schedule
from mmbench.store.looks import Looks


def wanted_runs(
    runs: Iterable[RunSpec], looks: Looks, reference: str, trivial: Collection[str]
) -> list[RunSpec]:
    """Return the runs up to the next look; after the last one, those that there were.

    A row gets seeds as long as one of its comparisons is open; the reference and the trivial baselines get as
    many as any row.

    Parameters
    ----------
    runs : iterable of RunSpec
        All runs of the design.
    looks : Looks
        The looks so far.
    reference : str
        The row that the others are compared with.
    trivial : collection of str
        The rows that are constant predictors.
    """
    runs = list(runs)
    common = {reference, *trivial}
    seeds = {row: looks.seeds_of(row) for row in {run.label for run in runs} - common}
    most = max(seeds.values(), default=looks.seeds_of(reference))
    # Each seed has its own labelled subset, which a trivial baseline without seeds is numbered by, too.
    return [run for run in runs if run.subset < seeds.get(run.label, most)]


def up_to_the_next_look(plan: Plan, looks: Looks) -> Plan:
    """Return a plan with the runs that the next look needs."""
    trivial = [label for label, summary in plan.methods.items() if summary.trivial]
    runs = wanted_runs(plan.runs, looks, plan.protocol.reference_label, trivial)
    return replace(plan, runs=runs)


def check_design(looks: Looks, asked: UntilDecided) -> None:
    """Refuse to go on with another design than the one that was begun.

    Raises
    ------
    UserError
        If the seeds at which it looks differ.
    """
    wanted = schedule(asked.first, asked.most)
    if wanted != looks.schedule:
        begun = ", ".join(map(str, looks.schedule))
        raise UserError(
            f"seeds: looks after {', '.join(map(str, wanted))} seeds are asked for, but the results folder "
            f"was begun with looks after {begun}; keep those (first: {looks.schedule[0]}, most: "
            f"{looks.schedule[-1]}), or use another results folder"
        )
