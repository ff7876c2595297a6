"""Where the scores' variance comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmbench.report.figures.style import (
    Drawn,
    at_budgets,
    heading,
    label,
    largest_budgets,
    listed,
    panels,
    parts_of,
    rows_of,
    select,
)

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis

COLOURS = {
    "subset": "#0173b2",
    "seed": "#de8f05",
    "subset x seed": "#029e73",
    "case": "#cc78bc",
    "residual": "#949494",
}


def variance_budget(analysis: Analysis) -> Drawn | None:
    """Draw the components of one training's variance, stacked, at the largest budgets."""
    if not len(analysis.variance):
        return None
    pair = largest_budgets(analysis)
    variance = at_budgets(analysis.variance, pair)
    parts = [
        (part, own)
        for part in parts_of(analysis)
        if len(own := select(variance, domain=part[0], scope=part[1], metric=part[2]))
    ]
    if not parts:
        return None
    rows = rows_of(analysis)
    canvas, axes = panels(len(parts), height=0.26 * len(rows) + 1.3)
    texts, handles = [], {}
    for ax, ((domain, scope, metric), own) in zip(axes, parts, strict=True):
        order = [row for row in rows if row in set(own["row"])]
        left = np.zeros(len(order))
        for component, colour in COLOURS.items():
            values = select(own, component=component).set_index("row")["variance"].reindex(order)
            if values.isna().all():
                continue
            shown = values.fillna(0).to_numpy() * 1e4
            handles[component] = ax.barh(range(len(order)), shown, left=left, color=colour, height=0.7)
            left += shown
            texts.append(f"{component} {float(values.mean()):.2g} on {domain}")
        ax.set_yticks(range(len(order)), [label(row, 24) for row in order])
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("variance of one training's score (times 10,000)")
        ax.set_title(f"{heading(metric)}, {label(domain)} ({scope})")
    canvas.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5)
    return Drawn(
        canvas,
        f"Variance budget ({pair.text} labels)",
        "How much of one training's variance comes from the labelled subset, the seed, the choice of test "
        f"cases (shared by all trainings) and the rest. Means over rows: {listed(texts)}.",
    )
