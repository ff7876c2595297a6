"""The order of cells: longest first, so that no long cell is left running alone at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mmbench.protocol.cells import Cell
from mmbench.protocol.cost import cell_cost
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    from mmbench.launch.plan import Plan


def plan_costs(plan: Plan) -> dict[str, float]:
    """Return the estimated relative cost of each of a plan's cells, by id."""
    evaluated = {
        task: sum(count for part, count in plan.case_counts.items() if part.split()[0] == task.value)
        for task in Task
    }
    return {
        cell.id: cell_cost(
            cell,
            plan.methods[cell.label],
            evaluated={task: count for task, count in evaluated.items() if task in cell.budgets},
            validated={task: count for task, count in plan.validated.items() if task in cell.budgets},
        )
        for cell in plan.cells
    }


def longest_first(cells: Iterable[Cell], costs: Mapping[str, float]) -> list[Cell]:
    """Return the cells by falling cost; equal ones keep their order."""
    return sorted(cells, key=lambda cell: -costs[cell.id])
