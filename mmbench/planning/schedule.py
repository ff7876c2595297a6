"""The order of runs: longest first, so that no long run is left running alone at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mmbench.planning.cost import run_cost
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan


def plan_costs(plan: Plan) -> dict[str, float]:
    """Return the estimated relative cost of each of a plan's runs, by id."""
    evaluated = {
        task: sum(count for part, count in plan.case_counts.items() if part.split()[0] == task.value)
        for task in Task
    }
    return {
        run.id: run_cost(
            run,
            plan.methods[run.label],
            evaluated={task: count for task, count in evaluated.items() if task in run.budgets},
            validated={task: count for task, count in plan.validated.items() if task in run.budgets},
        )
        for run in plan.runs
    }


def longest_first(runs: Iterable[RunSpec], costs: Mapping[str, float]) -> list[RunSpec]:
    """Return the runs by falling cost; equal ones keep their order."""
    return sorted(runs, key=lambda run: -costs[run.id])
