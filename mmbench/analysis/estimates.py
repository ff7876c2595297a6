"""Every cell's mean with its interval, next to trivial baseline, ceiling and the best cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mmbench.analysis.records import CellEstimate
from mmbench.analysis.rows import Budgets, Cell, Column, cell_at, compatible
from mmbench.analysis.scored import Scored
from mmbench.protocol.schema import Protocol
from mmbench.stats.mixed import Estimate, complete_part


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
    confidence = protocol.statistics.confidence
    found = {cell: scored.estimate(cell, confidence) for cell in cells}
    return [_record(scored, cell, found, confidence) for cell in cells]


def _record(scored: Scored, cell: Cell, found: Mapping[Cell, Estimate], confidence: float) -> CellEstimate:
    column, own = scored.column, found[cell]
    rivals = _trivial(cell, found, column)
    ceiling = None if cell.trivial else cell_at(found, cell.row, Budgets("full", "full"))
    values = [found[rival].value for rival in rivals]
    return CellEstimate(
        cell=cell,
        column=column,
        estimate=own,
        sd=_deviation(scored.values(cell)),
        cases=len(scored.block.case_ids),
        patients=scored.block.patient_count,
        runs=tuple(scored.runs(cell)),
        trivial_value=max(values, key=lambda value: column.sign * value, default=math.nan),
        clears_trivial=None if cell.trivial else _clears(scored, cell, rivals, confidence),
        ceiling=math.nan if ceiling is None else found[ceiling].value,
        best=_is_best(cell, found, column.sign),
    )


def _is_best(cell: Cell, found: Mapping[Cell, Estimate], sign: int) -> bool:
    """Whether no compatible cell has a better mean; a trivial baseline is never the best."""
    if cell.trivial or math.isnan(found[cell].value):
        return False
    rivals = (found[other].value for other in found if not other.trivial and compatible(cell, other))
    return sign * found[cell].value >= max(sign * value for value in rivals if not math.isnan(value))


def _trivial(cell: Cell, found: Mapping[Cell, Estimate], column: Column) -> list[Cell]:
    """Return the trivial baselines of a cell's budget that have a value."""
    return [
        other
        for other, estimate in found.items()
        if other.trivial
        and other.budget(column.task) in (None, cell.budget(column.task))
        and not math.isnan(estimate.value)
    ]


def _clears(scored: Scored, cell: Cell, rivals: Sequence[Cell], confidence: float) -> bool | None:
    """Whether a cell is better than every trivial baseline; None where there is none or it cannot be said.

    Each is tested by itself: being better than the best of them means being better than all, which needs
    no correction.
    """
    sign = scored.column.sign
    bounds = []
    for rival in rivals:
        found = scored.difference(cell, rival, confidence)
        bounds.append(found.low if sign > 0 else -found.high)
    if not bounds or any(math.isnan(bound) for bound in bounds):
        return None
    return min(bounds) > 0


def _deviation(values: np.ndarray) -> float:
    kept = values[np.ix_(*complete_part(values))].ravel()
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
