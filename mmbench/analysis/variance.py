"""Where a cell's variance comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmbench.analysis.records import VariancePart
from mmbench.analysis.rows import Cell
from mmbench.analysis.scored import Scored
from mmbench.stats.variance import variance_budget


def variance_parts(scored: Scored, order: Sequence[Cell]) -> list[VariancePart]:
    """Return the components of each cell's variance, one record per cell and component.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    order : sequence of Cell
        Gives the order of records; trivial baselines are left out.
    """
    found = []
    for cell in order:
        if cell not in scored.grids or cell.trivial:
            continue
        components = variance_budget(scored.values(cell), scored.resampled(cell)).components
        total = sum(value for value in components.values() if not math.isnan(value))
        found += [
            VariancePart(
                cell=cell,
                column=scored.column,
                component=name,
                variance=value,
                sd=math.sqrt(value) if value >= 0 else math.nan,
                share=value / total if total > 0 else math.nan,
            )
            for name, value in components.items()
        ]
    return found
