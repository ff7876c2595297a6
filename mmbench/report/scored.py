"""One metric of every training of a domain, and which trainings belong together.

A line is a row at its own label budgets. Lines are compatible when no task is learned by both from
different budgets: only those are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmbench.protocol.metrics import Metric
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.report.main_table import SCOPES, Line
from mmbench.stats.blocks import Block
from mmbench.stats.intervals import Interval, logit_interval
from mmbench.stats.mixed import Estimate, mixed_estimate
from mmbench.stats.resampling import Replicates


@dataclass(frozen=True)
class Scored:
    """One metric of every training of a block, with the grid of trainings of each line.

    Attributes
    ----------
    block : Block
        The scores.
    metric : Metric
        What is measured.
    replicates : Replicates
        Its values on the cases and on resampled patients.
    covariance : ndarray
        Between trainings, shape (runs, runs).
    grids : dict of Line to ndarray
        Places of a line's trainings among the block's runs, shape (subsets, seeds); -1 where missing.
    """

    block: Block
    metric: Metric
    replicates: Replicates
    covariance: np.ndarray
    grids: dict[Line, np.ndarray]

    def values(self, line: Line) -> np.ndarray:
        """Return a line's values, shape (subsets, seeds); NaN where there is no training."""
        grid = self.grids[line]
        return np.where(grid >= 0, self.replicates.observed[grid], np.nan)

    def resampled(self, line: Line) -> np.ndarray:
        """Return a line's values on resampled patients, shape (resamples, subsets, seeds)."""
        grid = self.grids[line]
        return np.where(grid >= 0, self.replicates.resampled[:, grid], np.nan)

    def estimate(self, line: Line, confidence: float) -> Estimate:
        """Return a line's mean over trainings, its interval within the metric's range."""
        flat = self.grids[line].ravel()
        covariance = self.covariance[np.ix_(flat, flat)]
        found = mixed_estimate(self.values(line), covariance, self.block.patient_count, confidence)
        ends = Interval(
            float(np.maximum(found.low, self.metric.lowest)),
            float(np.minimum(found.high, self.metric.highest)),
        )
        if (self.metric.lowest, self.metric.highest) == (0, 1) and 0 < found.value < 1 and found.has_interval:
            ends = logit_interval(found.value, found.value - found.low)
        return replace(found, low=ends.low, high=ends.high)

    def difference(self, a: Line, b: Line, confidence: float) -> Estimate:
        """Return the mean difference a - b over the trainings that share subset and seed."""
        one, other = self.grids[a].ravel(), self.grids[b].ravel()
        covariance = (
            self.covariance[np.ix_(one, one)]
            + self.covariance[np.ix_(other, other)]
            - self.covariance[np.ix_(one, other)]
            - self.covariance[np.ix_(other, one)]
        )
        values = self.values(a) - self.values(b)
        return mixed_estimate(values, covariance, self.block.patient_count, confidence)

    def per_case(self, line: Line) -> np.ndarray | None:
        """Return the per-case scores of a line's trainings (subsets * seeds, N); None for pooled metrics."""
        grid = self.grids[line].ravel()
        if self.metric.task is Task.SEGMENTATION:
            found = self.block.scores[self.metric.name][grid]
        elif self.metric.name == "accuracy":
            found = self.block.scores["correct"][grid]
        else:
            return None
        return np.where(grid[:, None] >= 0, found, np.nan)

    @property
    def about(self) -> dict[str, Any]:
        """Return what names the metric and the domain in every frame."""
        return {
            "scope": SCOPES[0] if self.block.in_domain else SCOPES[1],
            "domain": self.block.domain,
            "task": self.block.task,
            "metric": self.metric.name,
            "heading": self.metric.heading,
            "higher_is_better": self.metric.better == "higher",
        }


def lines_of(block: Block, trivial: Iterable[str]) -> dict[Line, np.ndarray]:
    """Return the lines of a block, each with the places of its trainings.

    Parameters
    ----------
    block : Block
        The scores.
    trivial : iterable of str
        The rows that are constant predictors.

    Returns
    -------
    dict of Line to ndarray
        Shape (subsets, seeds), -1 where there is no training.
    """
    constant = set(trivial)
    trainings = block.trainings
    subsets = {subset: place for place, subset in enumerate(sorted(trainings["subset"].unique()))}
    seeds = {seed: place for place, seed in enumerate(sorted(trainings["seed"].unique()))}
    grids: dict[Line, np.ndarray] = {}
    for place, training in enumerate(trainings.to_dict("records")):
        line = Line(
            row=training["row"],
            method=training["method"],
            classification=_text(training["budget_classification"]),
            segmentation=_text(training["budget_segmentation"]),
            trivial=training["row"] in constant,
        )
        grid = grids.setdefault(line, np.full((len(subsets), len(seeds)), -1))
        grid[subsets[training["subset"]], seeds[training["seed"]]] = place
    return grids


def margin(metric: Metric, protocol: Protocol) -> float:
    """Return the largest difference of a metric that does not matter, in the metric's unit."""
    statistics = protocol.statistics
    if math.isfinite(metric.highest):
        return statistics.equivalence
    diagonal = math.hypot(protocol.image_size, protocol.image_size) * protocol.evaluation.spacing
    return statistics.distance_equivalence * diagonal


def compatible(one: Line, other: Line) -> bool:
    """Whether two lines learn every task that both learn from the same budget."""
    return all(one.budget(task) in (None, other.budget(task)) or other.budget(task) is None for task in Task)


def line_at(lines: Iterable[Line], row: str, pair: tuple[str | None, str | None]) -> Line | None:
    """Return a row's line at a pair of budgets (classification, segmentation)."""
    for line in lines:
        if line.row == row and all(
            own in (None, asked)
            for own, asked in zip((line.classification, line.segmentation), pair, strict=True)
        ):
            return line
    return None


def pairs_of(protocol: Protocol) -> list[tuple[str | None, str | None]]:
    """Return the protocol's budget pairs as text, smallest first."""
    return [
        tuple(None if budget is None else str(budget) for budget in (pair.classification, pair.segmentation))  # type: ignore[misc]
        for pair in protocol.budgets.combinations()
    ]


def budget_text(pair: tuple[str | None, str | None]) -> str:
    """Return a budget pair as it is shown: ``40/5``."""
    return "/".join(budget or "–" for budget in pair)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
