"""How scores grow with the label budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.report.figures.against_labels import AgainstLabels
from mmbench.report.figures.style import INK, Drawn, label, listed, rows_of, styles

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis

TRIVIAL = "best trivial baseline"


def label_efficiency(analysis: Analysis) -> Drawn | None:
    """Draw the main metric of each task against the number of labels, one panel per domain."""
    names = {row: label(row) for row in rows_of(analysis)}
    drawn = AgainstLabels(analysis, names, styles(analysis))
    if drawn.canvas is None:
        return None
    handles = dict(drawn.handles)
    for ax, own, budgets, column in drawn.panels:
        trivial = own["trivial_value"].groupby(own[column], sort=False).max().reindex(budgets)
        (handles[TRIVIAL],) = ax.plot(range(len(budgets)), trivial, color=INK, linewidth=1, linestyle=":")
    drawn.canvas.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
    return Drawn(
        drawn.canvas,
        "Label efficiency",
        f"Main metric against the number of labelled images, with intervals. {listed(drawn.texts)}.",
    )
