"""The strongest row of each family against the number of labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mmbench.report.figures.against_labels import AgainstLabels
from mmbench.report.figures.style import INK, MARKERS, Drawn, label, listed

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis


def families(analysis: Analysis) -> Drawn | None:
    """Draw the main metric of each task against the number of labels for the strongest row of each family.

    The reference is drawn in ink. Which row is the strongest is decided on validation cases.
    """
    reference = analysis.protocol.reference_label
    names = {reference: f"{label(reference)} (reference)"}
    names |= {
        one.row: f"{label(one.row)} ({one.family})" for one in analysis.families if one.row != reference
    }
    if len(analysis.families) < 2:
        return None
    drawn = AgainstLabels(analysis, names, _looks(names))
    if drawn.canvas is None:
        return None
    drawn.canvas.legend(
        list(drawn.handles.values()), list(drawn.handles), loc="outside lower center", ncols=2
    )
    return Drawn(
        drawn.canvas,
        "The strongest of each family",
        "Main metric against the number of labelled images, with intervals, for the row of each family with "
        f"the best validation scores. {listed(drawn.texts)}.",
    )


def _looks(rows: Iterable[str]) -> dict[str, dict[str, Any]]:
    import seaborn as sns

    palette = sns.color_palette("colorblind", 10).as_hex()
    colours = [INK, *(colour for place, colour in enumerate(palette) if place not in (7, 8))]
    return {
        row: {
            "color": colours[place % len(colours)],
            "marker": MARKERS[place % len(MARKERS)],
            "linewidth": 1.0 if place else 1.6,
        }
        for place, row in enumerate(rows)
    }
