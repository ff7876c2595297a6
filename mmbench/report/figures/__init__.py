"""The figures of a report, drawn with seaborn's theme and palette."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.analysis.parallel import in_parallel
from mmbench.report.figures.critical_difference import critical_difference
from mmbench.report.figures.curves import curves
from mmbench.report.figures.families import families
from mmbench.report.figures.label_efficiency import label_efficiency
from mmbench.report.figures.pairwise import pairwise
from mmbench.report.figures.scatter import scatter
from mmbench.report.figures.slope import slope
from mmbench.report.figures.style import Drawn, Figure, save, theme
from mmbench.report.figures.variance_budget import variance_budget

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis

__all__ = ["FIGURES", "Drawn", "Figure", "draw_figures"]

FIGURES: dict[str, Callable[[Analysis], Drawn | None]] = {
    "families": families,
    "label_efficiency": label_efficiency,
    "slope": slope,
    "critical_difference": critical_difference,
    "pairwise": pairwise,
    "variance_budget": variance_budget,
    "curves": curves,
    "scatter": scatter,
}
"""Every figure by name; a function returns None where its figure makes no sense."""


def draw_figures(analysis: Analysis, folder: Path) -> list[Figure]:
    """Draw every figure that makes sense as SVG and PNG.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    folder : Path
        Where; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    light = analysis.without_scores  # which no figure needs
    drawn = in_parallel(_draw, [(name, light, folder) for name in FIGURES], len(analysis.scores))
    return [figure for figure in drawn if figure is not None]


def _draw(name: str, analysis: Analysis, folder: Path) -> Figure | None:
    with theme():
        drawn = FIGURES[name](analysis)
        return None if drawn is None else save(drawn, name, folder)
