"""Runs that did not learn: named, counted, and never silently averaged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.analysis.rows import known_text
from mmbench.analysis.scored import margin
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    import pandas as pd

MARGINS, DEVIATIONS, FEWEST = 5.0, 6.0, 4
"""A run is an outlier that lies more than so many margins and so many robust standard deviations below the
median of at least so many trainings."""
CELL = ["row", "budget_classification", "budget_segmentation"]
UNMOVED = 0.01
"""Relative change of every loss term, first tenth to last, below which a loss did not move."""


@dataclass(frozen=True)
class Collapsed:
    """A run that did not learn.

    Attributes
    ----------
    run, row, budget : str
        Its id, its row, and its label budgets as text.
    subset, seed : int
        Which training.
    metric : str
        In-domain, that shows it.
    value, median : float
        Its own, and that of the row's trainings at this budget.
    cause : str
        Why it counts as collapsed, in words.
    """

    run: str
    row: str
    budget: str
    subset: int
    seed: int
    metric: str
    value: float
    median: float
    cause: str

    @property
    def text(self) -> str:
        """The run in words."""
        return (
            f"{self.row} at {self.budget}, subset {self.subset}, seed {self.seed}: {self.metric} "
            f"{self.value:.3f} in-domain, {self.cause}"
        )


def collapsed_runs(
    summaries: pd.DataFrame,
    protocol: Protocol,
    trivial: Collection[str],
    loss_changes: Mapping[str, float] | None = None,
) -> list[Collapsed]:
    """Find the runs that are no better than a trivial baseline, are outliers, or whose loss did not move.

    Parameters
    ----------
    summaries : DataFrame
        As :func:`mmbench.store.frames.summaries` makes it.
    protocol : Protocol
        Its primary metrics, in-domain, decide.
    trivial : collection of str
        The rows that are constant predictors.
    loss_changes : mapping of str to float, optional
        By run, as :attr:`mmbench.store.records.RunRecord.loss_change`.
    """
    found: dict[str, Collapsed] = {}
    inside = summaries[summaries["in_domain"]]
    for name in protocol.statistics.primary:
        metric = METRICS[name]
        sign = 1 if metric.better == "higher" else -1
        part = inside[inside["metric"] == name]
        budget = part[f"budget_{metric.task.value}"].map(known_text)
        for _, rows in part.groupby(budget, sort=False, dropna=False):
            constant = rows[rows["row"].isin(list(trivial))]["value"] * sign
            floor = float(constant.max()) if constant.notna().any() else -np.inf
            methods = rows[~rows["row"].isin(list(trivial))]
            for _, cell in methods.groupby(CELL, sort=False, dropna=False):
                for run in _of_cell(cell, sign, floor, margin(metric, protocol), loss_changes or {}):
                    found.setdefault(run.run, run)
    return list(found.values())


def _of_cell(
    cell: pd.DataFrame, sign: int, floor: float, unimportant: float, changes: Mapping[str, float]
) -> Iterable[Collapsed]:
    values = cell["value"].to_numpy(dtype=float) * sign
    median = float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
    # 1.4826 makes the median deviation of normal values their standard deviation.
    spread = 1.4826 * float(np.nanmedian(np.abs(values - median))) if np.isfinite(median) else np.nan
    reach = max(MARGINS * unimportant, DEVIATIONS * spread)
    for value, run in zip(values, cell.to_dict("records"), strict=True):
        cause = ""
        if changes.get(run["run"], np.inf) < UNMOVED:
            cause = "its loss did not move"
        elif value <= floor:
            cause = f"no better than a trivial baseline ({sign * floor:.3f})"
        elif len(values) >= FEWEST and value < median - reach:
            cause = f"an outlier (median {sign * median:.3f})"
        if cause:
            yield _collapsed(run, sign * value, sign * median, cause)


def _collapsed(run: Mapping[Any, Any], value: float, median: float, cause: str) -> Collapsed:
    budgets = (known_text(run[f"budget_{task.value}"]) or "–" for task in Task)
    return Collapsed(
        run=run["run"],
        row=run["row"],
        budget="/".join(budgets),
        subset=int(run["subset"]),
        seed=int(run["seed"]),
        metric=METRICS[run["metric"]].heading,
        value=value,
        median=median,
        cause=cause,
    )
