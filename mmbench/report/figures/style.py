"""How figures look: one colour and marker per row, an ink that a page can swap, panels in a grid."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.analysis.rows import IN_DOMAIN, Budgets, budget_pairs
from mmbench.files import write_bytes, write_text
from mmbench.protocol.metrics import MAIN_METRIC, METRICS
from mmbench.protocol.vocabulary import Task
from mmbench.report.text import plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

    from mmbench.analysis.analysis import Analysis

INK, GRID = "#1f2328", "#d0d7de"
"""Exactly these colours are swapped by the page's theme."""
MARKERS = "osD^vPX*<>p"
WIDTH, HEIGHT = 4.4, 3.4


@dataclass(frozen=True)
class Drawn:
    """A figure before it is saved: its canvas, its title and what it shows in words."""

    canvas: Canvas
    title: str
    description: str


@dataclass(frozen=True)
class Figure:
    """A figure's files.

    Attributes
    ----------
    name : str
        Of the files.
    title, description : str
        The description is the text alternative.
    svg, png : Path
        The files.
    """

    name: str
    title: str
    description: str
    svg: Path
    png: Path


@contextmanager
def theme() -> Iterator[None]:
    """Draw with seaborn's white grid, transparent, without a window system."""
    import matplotlib as mpl
    import seaborn as sns

    settings = {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("paper"),
        "svg.fonttype": "none",
        "svg.hashsalt": "mmbench",
        "text.parse_math": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.facecolor": "none",
        "legend.frameon": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        "axes.edgecolor": GRID,
        "grid.color": GRID,
        "font.family": "sans-serif",
        "axes.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context({key: value for key, value in settings.items() if key in mpl.rcParams}):
        yield


def panels(
    count: int, columns: int = 2, width: float = WIDTH, height: float = HEIGHT
) -> tuple[Any, list[Any]]:
    """Return a canvas and as many axes, in rows of ``columns``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    canvas = Canvas(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = list(canvas.subplots(rows, columns, squeeze=False).ravel())
    for unused in axes[count:]:
        unused.remove()
    return canvas, axes[:count]


def save(drawn: Drawn, name: str, folder: Path) -> Figure:
    """Write a figure as SVG, the same bytes for the same numbers, and as PNG on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    figure = drawn.canvas
    # The layout is found once, and each file drawn once: savefig draws twice for every file.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    text, image = io.StringIO(), io.BytesIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    write_text(svg, _trimmed(text.getvalue()))
    figure.set_dpi(110)
    figure.set_facecolor("white")
    FigureCanvasAgg(figure).print_png(image)  # type: ignore[no-untyped-call]
    write_bytes(png, image.getvalue())
    return Figure(name, drawn.title, drawn.description, svg, png)


def rows_of(analysis: Analysis) -> list[str]:
    """Return the rows that are no trivial baselines, in order."""
    return list(dict.fromkeys(cell.row for cell in analysis.matrix.cells if not cell.trivial))


def styles(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return one colour and marker per row, the same in every figure."""
    import seaborn as sns

    rows = rows_of(analysis)
    palette = sns.color_palette("colorblind", 10).as_hex()
    # The palette's grey is for trivial baselines; its yellow does not show on white.
    colours = [colour for place, colour in enumerate(palette) if place not in (7, 8)]
    return {
        row: {"color": colours[place % len(colours)], "marker": MARKERS[place % len(MARKERS)]}
        for place, row in enumerate(rows)
    }


def label(text: str, width: int = 28) -> str:
    """Return a name as it is drawn: on one line, cut where it is long."""
    return textwrap.shorten(plain(text), width, placeholder="…") or "–"


def parts_of(analysis: Analysis) -> list[tuple[str, str, str]]:
    """Return (domain, scope, main metric) of every scored domain, in-domain first."""
    estimates = analysis.estimates
    found = estimates.drop_duplicates(["scope", "domain", "task"])
    return [
        (part["domain"], part["scope"], MAIN_METRIC[Task(part["task"])])
        for part in found.sort_values("scope", key=lambda scope: scope != IN_DOMAIN, kind="stable").to_dict(
            "records"
        )
    ]


def select(frame: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """Return the lines of a frame with these values."""
    for column, value in wanted.items():
        frame = frame[frame[column].isna()] if value is None else frame[frame[column] == value]
    return frame


def largest_budgets(analysis: Analysis) -> Budgets:
    """Return the largest budget pair that has estimates."""
    return budget_pairs(analysis.protocol)[-1]


def at_budgets(frame: pd.DataFrame, pair: Budgets) -> pd.DataFrame:
    """Return the lines of rows at a budget pair; a task that a row does not learn fits any budget."""
    for column, budget in zip(("budget_classification", "budget_segmentation"), pair, strict=True):
        frame = frame[frame[column].isna() | (frame[column] == budget)]
    return frame


def heading(metric: str) -> str:
    """Return a metric's title as an axis says it."""
    title = METRICS[metric].title
    return title[0].upper() + title[1:]


def listed(items: Sequence[str], limit: int = 12) -> str:
    """Return items as text, cut off beyond a limit."""
    rest = f"; and {len(items) - limit} more" if len(items) > limit else ""
    return "; ".join(items[:limit]) + rest


def _trimmed(text: str) -> str:
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return re.sub(r"(\.\d{3})\d+", r"\1", text)
