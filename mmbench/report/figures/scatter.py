"""Two rows case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.report.figures.style import (
    INK,
    Drawn,
    at_budgets,
    label,
    largest_budgets,
    panels,
    parts_of,
    select,
    styles,
)

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis


def scatter(analysis: Analysis) -> Drawn | None:
    """Draw each case's mean Dice of the reference against the best other row, at the largest budgets.

    Without segmentation there is nothing to see: a case is right or wrong.
    """
    pair = largest_budgets(analysis)
    reference = analysis.protocol.reference_label
    found = []
    cases = at_budgets(select(analysis.cases, task="segmentation"), pair) if len(analysis.cases) else None
    for domain, scope, metric in parts_of(analysis):
        if metric != "dice" or cases is None:
            continue
        own = at_budgets(
            select(analysis.estimates, domain=domain, scope=scope, metric=metric, trivial=False), pair
        )
        rivals = own[own["row"] != reference].sort_values("estimate", ascending=False)
        if len(rivals) and reference in set(own["row"]):
            found.append((domain, scope, rivals["row"].iloc[0]))
    if not found or cases is None:
        return None
    canvas, axes = panels(len(found), height=4.0)
    looks, texts = styles(analysis), []
    for ax, (domain, scope, rival) in zip(axes, found, strict=True):
        own = select(cases, domain=domain, scope=scope)
        one = own[own["row"] == reference].set_index("case_id")["value"]
        other = own[own["row"] == rival].set_index("case_id")["value"].reindex(one.index)
        ax.scatter(one, other, s=9, alpha=0.6, color=looks[rival]["color"], linewidths=0)
        low = min(one.min(), other.min())
        ax.plot([low, 1], [low, 1], color=INK, linewidth=0.8, linestyle=":")
        ax.set_xlabel(f"Dice of {label(reference)}")
        ax.set_ylabel(f"Dice of {label(rival)}")
        ax.set_title(f"{label(domain)} ({scope}), {len(one)} cases")
        above = float((other > one).mean())
        texts.append(f"on {domain} {rival} has the higher Dice in {above:.0%} of cases")
    return Drawn(
        canvas,
        f"Case by case: {label(reference)} and its strongest rival ({pair.text} labels)",
        f"One point per test case, Dice mean over trainings; above the dotted line the rival is better: "
        f"{'; '.join(texts)}.",
    )
