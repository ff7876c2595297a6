"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from mmbench.analysis.analysis import Analysis
from mmbench.report.figures.style import GRID, INK, Figure
from mmbench.report.payload import embedded, page_context
from mmbench.report.text import plain

if TYPE_CHECKING:
    import pandas as pd


def render_html(
    analysis: Analysis,
    figures: Sequence[Figure],
    *,
    published: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
    yardsticks: pd.DataFrame | None = None,
    tried: Sequence[str] = (),
    records: str = "../runs",
) -> str:
    """Return the page.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    figures : sequence of Figure
        Drawn already; their SVGs are set into the page.
    published : DataFrame, optional
        Printed numbers next to ours, from :func:`mmbench.report.published.compare_published`.
    sensitivity : DataFrame, optional
        Verdicts under other metric policies, from :func:`mmbench.analysis.sensitivity.sensitivity`.
    yardsticks : DataFrame, optional
        External numbers beside ours, from :func:`mmbench.report.yardsticks.yardsticks_frame`.
    tried : sequence of str
        Which policies those are.
    records : str
        Where the records lie, seen from the page.
    """
    import jinja2
    from markupsafe import Markup

    page = files("mmbench.report") / "page"
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((page / "index.html.jinja").read_text(encoding="utf-8"))
    context = page_context(analysis, published=published, sensitivity=sensitivity, yardsticks=yardsticks)
    return template.render(
        **context,
        tried=list(tried),
        records=records,
        figures=[
            # Every text in it went through the drawing library, which escapes it.
            {"name": figure.name, "title": figure.title, "svg": Markup(inline_svg(figure))}  # nosec B704
            for figure in figures
        ],
        # Two files of this package, and JSON with every < written as an escape.
        style=Markup((page / "style.css").read_text(encoding="utf-8")),  # nosec B704
        script=Markup((page / "script.js").read_text(encoding="utf-8")),  # nosec B704
        payload=Markup(embedded(context["scatter"])),  # nosec B704
    )


def inline_svg(figure: Figure) -> str:
    """Return a figure's SVG for the page: named, described, in the page's ink, its ids its own."""
    from markupsafe import escape

    text = figure.svg.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    prefix = f"{figure.name}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}', text)
    text = re.sub(r"url\(#", f"url(#{prefix}", text)
    text = text.replace(INK, "var(--ink)").replace(GRID, "var(--rule)")
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    if size:
        text = text.replace(size.group(0), f'style="max-width:{size.group(1)}pt"', 1)
    named = (
        f'<svg role="img" aria-labelledby="{prefix}title {prefix}desc"'
        f"{text[len('<svg') : text.index('>')]}>"
        f'<title id="{prefix}title">{escape(plain(figure.title))}</title>'
        f'<desc id="{prefix}desc">{escape(plain(figure.description))}</desc>'
    )
    return named + text[text.index(">") + 1 :]
