"""Scores against the number of labels, one panel per domain: what two figures share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.analysis.rows import budget_pairs
from mmbench.protocol.metrics import METRICS
from mmbench.report.figures.style import GRID, heading, label, panels, parts_of, select
from mmbench.report.text import number

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.analysis.analysis import Analysis

Looks = Mapping[str, Mapping[str, Any]]


class AgainstLabels:
    """A canvas with a panel for each domain whose task has several label budgets.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    names : mapping of str to str
        Rows to draw, and what they are called.
    looks : mapping
        Colour, marker and so on of each row.

    Attributes
    ----------
    canvas : Figure or None
        None where no task has several label budgets.
    panels : list of (axes, DataFrame, list of str, str)
        Each panel with its domain's estimates, the label budgets and the column that has them.
    handles : dict
        What the legend shows, by the name of a row.
    texts : list of str
        The numbers in words.
    """

    def __init__(self, analysis: Analysis, names: Mapping[str, str], looks: Looks):
        parts = [part for part in parts_of(analysis) if len(_budgets(analysis, part[2])) > 1]
        self.canvas: Any = None
        axes: list[Any] = []
        if parts:
            self.canvas, axes = panels(len(parts))
        self.panels: list[tuple[Any, pd.DataFrame, list[str], str]] = []
        self.handles: dict[str, Any] = {}
        self.texts: list[str] = []
        for ax, (domain, scope, metric) in zip(axes, parts, strict=True):
            own = select(analysis.estimates, domain=domain, scope=scope, metric=metric)
            budgets, column = _budgets(analysis, metric), f"budget_{METRICS[metric].task.value}"
            self.panels.append((ax, own, budgets, column))
            for place, (row, name) in enumerate(names.items()):
                lines = own[own["row"] == row].groupby(column, sort=False).first()
                lines = lines.reindex([budget for budget in budgets if budget in lines.index])
                if len(lines):
                    # Points of one budget stand side by side, so that their intervals do not overlap.
                    shift = (place - (len(names) - 1) / 2) * 0.6 / len(names)
                    x = np.array([budgets.index(budget) for budget in lines.index]) + shift
                    self.handles[name] = _draw(ax, x, lines, looks[row])
                    self.texts.append(f"{name} on {domain}: {_in_words(lines)}")
            ax.set_xticks(range(len(budgets)), budgets)
            ax.grid(axis="x", visible=False)
            ax.set_title(f"{label(domain)} ({scope})")
            ax.set_xlabel(f"labelled images for {METRICS[metric].task.value}")
            ax.set_ylabel(heading(metric))
            ax.tick_params(color=GRID)


def _draw(ax: Any, x: np.ndarray, lines: pd.DataFrame, look: Mapping[str, Any]) -> Any:
    gaps = np.vstack([lines["estimate"] - lines["low"], lines["high"] - lines["estimate"]])
    gaps = np.nan_to_num(np.maximum(gaps, 0))
    return ax.errorbar(
        x, lines["estimate"], yerr=gaps, **{"linewidth": 1, "elinewidth": 0.7, "markersize": 4, **look}
    )


def _in_words(lines: pd.DataFrame) -> str:
    values = zip(lines.index, lines["estimate"], strict=True)
    return ", ".join(f"{number(value)} at {budget}" for budget, value in values)


def _budgets(analysis: Analysis, metric: str) -> list[str]:
    task = METRICS[metric].task
    found = dict.fromkeys(pair.of(task) for pair in budget_pairs(analysis.protocol))
    return [budget for budget in found if budget is not None]
