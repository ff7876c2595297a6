"""ROC and calibration curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.protocol.vocabulary import CLASS_NAMES
from mmbench.report.figures.style import (
    INK,
    Drawn,
    at_budgets,
    label,
    largest_budgets,
    listed,
    panels,
    rows_of,
    select,
    styles,
)
from mmbench.report.text import number

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis

AXES = {
    "roc": ("false positive rate", "true positive rate"),
    "calibration": ("mean probability of {}", "share of {}"),
}


def curves(analysis: Analysis) -> Drawn | None:
    """Draw ROC (mean over trainings) and calibration (trainings pooled) at the largest budgets."""
    if not len(analysis.curves):
        return None
    pair = largest_budgets(analysis)
    points = at_budgets(analysis.curves, pair)
    domains = list(dict.fromkeys(points["domain"]))
    if not domains:
        return None
    canvas, axes = panels(2 * len(domains))
    looks, handles = styles(analysis), {}
    positive = "pneumonia" if analysis.protocol.classes == CLASS_NAMES else "a class"
    for place, ax in enumerate(axes):
        domain, kind = domains[place // 2], list(AXES)[place % 2]
        own = select(points, domain=domain, kind=kind)
        ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for row in rows_of(analysis):
            line = own[own["row"] == row]
            if len(line):
                style = looks[row] if kind == "calibration" else {"color": looks[row]["color"]}
                (drawn,) = ax.plot(line["x"], line["y"], linewidth=1.1, markersize=4, **style)
                handles[row] = drawn
        ax.set_xlabel(AXES[kind][0].format(positive))
        ax.set_ylabel(AXES[kind][1].format(positive))
        ax.set_title(f"{'ROC' if kind == 'roc' else 'Calibration'}, {label(domain)}")
    canvas.legend(
        list(handles.values()), [label(row) for row in handles], loc="outside lower center", ncols=4
    )
    areas = at_budgets(select(analysis.estimates, metric="auroc", trivial=False), pair)
    texts = [
        f"{row} on {domain} AUROC {number(value)}"
        for row, domain, value in zip(areas["row"], areas["domain"], areas["estimate"], strict=True)
    ]
    return Drawn(
        canvas,
        f"ROC and calibration ({pair.text} labels)",
        f"Dotted: chance, and perfect calibration. {listed(texts)}.",
    )
