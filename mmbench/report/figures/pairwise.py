"""Every row against every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmbench.report.figures.style import (
    INK,
    Drawn,
    heading,
    label,
    largest_budgets,
    listed,
    panels,
    parts_of,
    select,
)
from mmbench.report.marks import SIGNIFICANT

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis


def pairwise(analysis: Analysis) -> Drawn | None:
    """Draw differences (row minus column) at the largest budgets, the significant ones marked."""
    pair, alpha = largest_budgets(analysis), analysis.protocol.statistics.alpha
    if not len(analysis.comparisons):
        return None
    tests = select(analysis.comparisons, budget=pair.text)
    parts = [
        (part, own)
        for part in parts_of(analysis)
        if len(own := select(tests, domain=part[0], scope=part[1], metric=part[2]))
    ]
    if not parts:
        return None
    rows = max(len(set(own["row_a"]) | set(own["row_b"])) for _, own in parts)
    size = 0.36 * rows + 1.9
    canvas, axes = panels(len(parts), width=size + 0.6, height=size)
    texts = []
    for ax, ((domain, _, metric), own) in zip(axes, parts, strict=True):
        order = list(dict.fromkeys([*own["row_a"], *own["row_b"]]))
        values = np.full((len(order), len(order)), np.nan)
        for test in own.to_dict("records"):
            a, b = order.index(test["row_a"]), order.index(test["row_b"])
            values[a, b], values[b, a] = test["difference"], -test["difference"]
            if test["p_holm"] < alpha:
                for x, y in ((b, a), (a, b)):
                    ax.text(x, y, SIGNIFICANT, ha="center", va="center", color="#000000", fontsize=7)
        limit = float(np.nanmax(np.abs(values))) or 1.0
        image = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit)
        canvas.colorbar(image, ax=ax, shrink=0.7)
        names = [label(row, 24) for row in order]
        ax.set_xticks(range(len(order)), names, rotation=90)
        ax.set_yticks(range(len(order)), names)
        ax.grid(visible=False)
        ax.set_title(f"{heading(metric)}, {label(domain)}", color=INK)
        told = int((own["p_holm"] < alpha).sum())
        texts.append(f"{heading(metric)} on {domain}: {told} of {len(own)} pairs differ significantly")
    return Drawn(
        canvas,
        f"Every row against every other ({pair.text} labels)",
        f"Mean difference, row minus column; {SIGNIFICANT} p after Holm over all pairs below {alpha:g}, "
        f"exploratory. {listed(texts)}.",
    )
