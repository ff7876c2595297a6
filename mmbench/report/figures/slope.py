"""What is lost from the source domain to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.protocol.metrics import MAIN_METRIC
from mmbench.report.figures.style import (
    Drawn,
    at_budgets,
    heading,
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


def slope(analysis: Analysis) -> Drawn | None:
    """Draw each row's main metric in-domain next to every cross-domain one, at the largest budgets."""
    pair = largest_budgets(analysis)
    estimates = at_budgets(analysis.estimates, pair)
    tasks = []
    for task, metric in MAIN_METRIC.items():
        own = select(estimates, task=task.value, metric=metric)
        domains = list(dict.fromkeys(own.sort_values("scope", ascending=False, kind="stable")["domain"]))
        if len(domains) > 1 and own["scope"].nunique() == 2:
            tasks.append((metric, own, domains))
    if not tasks:
        return None
    canvas, axes = panels(len(tasks))
    looks, texts, handles = styles(analysis), [], {}
    for ax, (metric, own, domains) in zip(axes, tasks, strict=True):
        for row in rows_of(analysis):
            lines = own[own["row"] == row].set_index("domain")["estimate"]
            if not len(lines):
                continue
            places = [place for place, domain in enumerate(domains) if domain in lines.index]
            (handles[row],) = ax.plot(
                places, [lines[domains[place]] for place in places], markersize=5, linewidth=1.2, **looks[row]
            )
            texts.append(
                f"{row}: " + ", ".join(f"{number(lines[d])} on {d}" for d in domains if d in lines.index)
            )
        ax.set_xticks(range(len(domains)), [label(domain, 16) for domain in domains])
        ax.set_xlim(-0.2, len(domains) - 0.8)
        ax.set_ylabel(heading(metric))
        ax.set_title("in-domain first, then cross-domain")
    canvas.legend(
        list(handles.values()), [label(row) for row in handles], loc="outside lower center", ncols=4
    )
    title = f"From in-domain to cross-domain ({pair.text} labels)"
    return Drawn(canvas, title, f"Mean over trainings at the largest label budgets. {listed(texts)}.")
