"""Mean ranks with the groups inside which no test finds a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.report.figures.style import INK, Drawn, heading, label, listed, panels, parts_of, select, styles

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis


def critical_difference(analysis: Analysis) -> Drawn | None:
    """Draw mean ranks over seeds with bootstrap intervals; bars join rows of one clique."""
    if not len(analysis.ranks):
        return None
    parts = [
        part
        for part in parts_of(analysis)
        if len(select(analysis.ranks, domain=part[0], scope=part[1], metric=part[2])) > 1
    ]
    if not parts:
        return None
    most = max(len(select(analysis.ranks, domain=d, scope=s, metric=m)) for d, s, m in parts)
    canvas, axes = panels(len(parts), height=0.28 * most + 1.2)
    looks, texts = styles(analysis), []
    for ax, (domain, scope, metric) in zip(axes, parts, strict=True):
        ranks = select(analysis.ranks, domain=domain, scope=scope, metric=metric).sort_values("mean_rank")
        order = list(ranks["row"])
        for place, line in enumerate(ranks.to_dict("records")):
            ax.plot(
                [line["low"], line["high"]], [place, place], color=looks[line["row"]]["color"], linewidth=1
            )
            ax.plot(line["mean_rank"], place, markersize=6, linestyle="", **looks[line["row"]])
        groups = [
            clique.rows
            for clique in analysis.records.cliques
            if (clique.column.domain, clique.column.scope, clique.column.metric) == (domain, scope, metric)
        ]
        edge = len(order) + 0.6
        for number, group in enumerate(groups):
            places = [order.index(row) for row in group]
            x = edge + 0.35 * number
            ax.plot([x, x], [min(places) - 0.15, max(places) + 0.15], color=INK, linewidth=3)
        ax.set_yticks(range(len(order)), [label(row, 30) for row in order])
        ax.invert_yaxis()
        ax.set_xlim(0.7, edge + 0.35 * max(len(groups), 1))
        ax.set_xticks(range(1, len(order) + 1))
        ax.set_xlabel(f"mean rank over {int(ranks['blocks'].iloc[0])} seeds (1 is best)")
        ax.set_title(f"{heading(metric)}, {label(domain)} ({scope})")
        groups_text = f"{len(groups)} groups without a significant difference inside"
        said = groups_text if groups else "every pair differs significantly"
        best, worst = ranks["mean_rank"].iloc[0], ranks["mean_rank"].iloc[-1]
        texts.append(
            f"{heading(metric)} on {domain}: best mean rank {order[0]} ({best:.2f}), worst {order[-1]} "
            f"({worst:.2f}); {said}"
        )
    return Drawn(
        canvas,
        "Critical difference: mean ranks and cliques",
        "Means over label budgets, ranked seed by seed on these cases. Thick bars join rows between which "
        "paired t tests over seeds (Holm) find no difference; thin "
        f"lines are bootstrap intervals of the mean rank. {listed(texts)}.",
    )
