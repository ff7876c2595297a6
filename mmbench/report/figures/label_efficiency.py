"""How scores grow with the label budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmbench.analysis.rows import budget_pairs
from mmbench.protocol.metrics import METRICS
from mmbench.report.figures.style import (
    GRID,
    INK,
    Drawn,
    heading,
    label,
    listed,
    panels,
    parts_of,
    rows_of,
    select,
    styles,
)
from mmbench.report.text import number

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis


def label_efficiency(analysis: Analysis) -> Drawn | None:
    """Draw the main metric of each task against the number of labels, one panel per domain.

    Points of one budget stand side by side, so that their intervals do not overlap.
    """
    parts = [part for part in parts_of(analysis) if len(_budgets(analysis, part[2])) > 1]
    if not parts:
        return None
    canvas, axes = panels(len(parts))
    looks, rows, texts = styles(analysis), rows_of(analysis), []
    handles = {}
    for ax, (domain, scope, metric) in zip(axes, parts, strict=True):
        budgets = _budgets(analysis, metric)
        column = _column(metric)
        own = select(analysis.estimates, domain=domain, scope=scope, metric=metric)
        for place, row in enumerate(rows):
            lines = own[own["row"] == row].groupby(column, sort=False).first()
            lines = lines.reindex([budget for budget in budgets if budget in lines.index])
            if not len(lines):
                continue
            shift = (place - (len(rows) - 1) / 2) * 0.6 / max(len(rows), 1)
            x = np.array([budgets.index(budget) for budget in lines.index]) + shift
            gaps = np.vstack([lines["estimate"] - lines["low"], lines["high"] - lines["estimate"]])
            handles[row] = ax.errorbar(
                x,
                lines["estimate"],
                yerr=np.nan_to_num(np.maximum(gaps, 0)),
                label=label(row),
                linewidth=1,
                elinewidth=0.7,
                markersize=4,
                **looks[row],
            )
            texts.append(
                f"{row} on {domain}: "
                + ", ".join(
                    f"{number(value)} at {budget}"
                    for budget, value in zip(lines.index, lines["estimate"], strict=True)
                )
            )
        trivial = own["trivial_value"].groupby(own[column], sort=False).max().reindex(budgets)
        ax.plot(
            range(len(budgets)), trivial, color=INK, linewidth=1, linestyle=":", label="best trivial baseline"
        )
        ax.set_xticks(range(len(budgets)), budgets)
        ax.grid(axis="x", visible=False)
        ax.set_title(f"{label(domain)} ({scope})")
        ax.set_xlabel(f"labelled images for {METRICS[metric].task.value}")
        ax.set_ylabel(heading(metric))
        ax.tick_params(color=GRID)
    names = {label(row): handle for row, handle in handles.items()}
    trivial = axes[0].get_lines()[-1]
    canvas.legend(
        [*names.values(), trivial], [*names, "best trivial baseline"], loc="outside lower center", ncols=4
    )
    return Drawn(
        canvas,
        "Label efficiency",
        f"Main metric against the number of labelled images, with intervals. {listed(texts)}.",
    )


def _column(metric: str) -> str:
    return f"budget_{METRICS[metric].task.value}"


def _budgets(analysis: Analysis, metric: str) -> list[str]:
    task = METRICS[metric].task
    found = dict.fromkeys(pair.of(task) for pair in budget_pairs(analysis.protocol))
    return [budget for budget in found if budget is not None]
