"""Every cell's mean with its interval, next to trivial baseline, ceiling and the best cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mmbench.analysis.records import CellEstimate
from mmbench.analysis.rows import Budgets, Cell, cell_at, compatible
from mmbench.analysis.scored import Scored
from mmbench.protocol.schema import Protocol
from mmbench.stats.mixed import Estimate


def cell_estimates(scored: Scored, protocol: Protocol, order: Sequence[Cell]) -> list[CellEstimate]:
    """Return one record per cell: estimate, trivial baseline, ceiling, best; comparisons come after.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Gives the confidence.
    order : sequence of Cell
        Gives the order of records.
    """
    cells = [cell for cell in order if cell in scored.grids]
    found = {cell: scored.estimate(cell, protocol.statistics.confidence) for cell in cells}
    return [_record(scored, cell, found) for cell in cells]


def _record(scored: Scored, cell: Cell, found: Mapping[Cell, Estimate]) -> CellEstimate:
    column, own = scored.column, found[cell]
    trivial = _best_trivial(cell, found, scored)
    ceiling = None if cell.trivial else cell_at(found, cell.row, Budgets("full", "full"))
    bound = own.low if column.higher_is_better else own.high
    unknown = cell.trivial or math.isnan(trivial) or math.isnan(bound)
    places = scored.grids[cell]
    return CellEstimate(
        cell=cell,
        column=column,
        estimate=own,
        sd=_deviation(scored.values(cell)),
        cases=len(scored.block.case_ids),
        patients=scored.block.patient_count,
        runs=tuple(scored.block.trainings["run"].iloc[places[places >= 0]]),
        trivial_value=trivial,
        clears_trivial=None if unknown else bool(column.sign * bound > column.sign * trivial),
        ceiling=math.nan if ceiling is None else found[ceiling].value,
        best=_is_best(cell, found, column.sign),
    )


def _is_best(cell: Cell, found: Mapping[Cell, Estimate], sign: int) -> bool:
    """Whether no compatible cell has a better mean; a trivial baseline is never the best."""
    if cell.trivial or math.isnan(found[cell].value):
        return False
    rivals = (found[other].value for other in found if not other.trivial and compatible(cell, other))
    return sign * found[cell].value >= max(sign * value for value in rivals if not math.isnan(value))


def _best_trivial(cell: Cell, found: Mapping[Cell, Estimate], scored: Scored) -> float:
    column = scored.column
    values = [
        estimate.value
        for other, estimate in found.items()
        if other.trivial
        and other.budget(column.task) in (None, cell.budget(column.task))
        and not math.isnan(estimate.value)
    ]
    return max(values, key=lambda value: column.sign * value, default=math.nan)


def _deviation(values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
