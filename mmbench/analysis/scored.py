"""One metric of every training of a domain, and which trainings belong together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mmbench.analysis.rows import Cell, Column, known_text
from mmbench.evaluation.classification import CALIBRATION_BINS
from mmbench.protocol.metrics import Metric
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.stats.blocks import Block
from mmbench.stats.intervals import Interval, logit_interval
from mmbench.stats.mixed import Estimate, mixed_estimate
from mmbench.stats.resampling import Replicates, replicates


@dataclass(frozen=True)
class Scored:
    """One metric of every training of a block, with the grid of trainings of each cell.

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
    grids : dict of Cell to ndarray
        Places of a cell's trainings among the block's runs, shape (subsets, seeds); -1 where missing.
    """

    block: Block
    metric: Metric
    replicates: Replicates
    covariance: np.ndarray
    grids: dict[Cell, np.ndarray]

    def values(self, cell: Cell) -> np.ndarray:
        """Return a cell's values, shape (subsets, seeds); NaN where there is no training."""
        grid = self.grids[cell]
        return np.where(grid >= 0, self.replicates.observed[grid], np.nan)

    def resampled(self, cell: Cell) -> np.ndarray:
        """Return a cell's values on resampled patients, shape (resamples, subsets, seeds)."""
        grid = self.grids[cell]
        return np.where(grid >= 0, self.replicates.resampled[:, grid], np.nan)

    def estimate(self, cell: Cell, confidence: float) -> Estimate:
        """Return a cell's mean over trainings, its interval within the metric's range."""
        flat = self.grids[cell].ravel()
        # -1, a missing training, picks a wrong covariance here; its value is NaN, so it never enters.
        covariance = self.covariance[np.ix_(flat, flat)]
        found = mixed_estimate(self.values(cell), covariance, self.block.patient_count, confidence)
        ends = Interval(
            float(np.maximum(found.low, self.metric.lowest)),
            float(np.minimum(found.high, self.metric.highest)),
        )
        if (self.metric.lowest, self.metric.highest) == (0, 1) and 0 < found.value < 1 and found.has_interval:
            ends = logit_interval(found.value, found.value - found.low)
        return replace(found, low=ends.low, high=ends.high)

    def difference(self, a: Cell, b: Cell, confidence: float) -> Estimate:
        """Return the mean difference a - b over the trainings that share subset and seed."""
        one, other = self.grids[a].ravel(), self.grids[b].ravel()
        # Cov(a_i - b_i, a_j - b_j), all four terms: both were scored on the same patients.
        covariance = (
            self.covariance[np.ix_(one, one)]
            + self.covariance[np.ix_(other, other)]
            - self.covariance[np.ix_(one, other)]
            - self.covariance[np.ix_(other, one)]
        )
        values = self.values(a) - self.values(b)
        return mixed_estimate(values, covariance, self.block.patient_count, confidence)

    def per_case(self, cell: Cell) -> np.ndarray | None:
        """Return the per-case scores of a cell's trainings (subsets * seeds, N); None for pooled metrics."""
        grid = self.grids[cell].ravel()
        if self.metric.task is Task.SEGMENTATION:
            found = self.block.scores[self.metric.name][grid]
        elif self.metric.name == "accuracy":
            found = self.block.scores["correct"][grid]
        else:
            return None
        return np.where(grid[:, None] >= 0, found, np.nan)

    @property
    def column(self) -> Column:
        """The metric and the domain."""
        block = self.block
        return Column(block.in_domain, block.domain, Task(block.task), self.metric.name)


def score(
    block: Block, metric: Metric, weights: np.ndarray, protocol: Protocol, grids: dict[Cell, np.ndarray]
) -> Scored:
    """Compute one metric of every training of a block.

    Parameters
    ----------
    block : Block
        The scores.
    metric : Metric
        What to measure.
    weights : ndarray
        From :func:`mmbench.stats.resampling.patient_weights`, shape (resamples, N).
    protocol : Protocol
        Its metric policy counts.
    grids : dict of Cell to ndarray
        From :func:`grids_of`.
    """
    threshold = protocol.evaluation.class_threshold
    found = replicates(block, metric.name, weights, threshold, bins=CALIBRATION_BINS)
    return Scored(block, metric, found, found.covariance, grids)


def grids_of(block: Block, trivial: Iterable[str], *, crossed: bool) -> dict[Cell, np.ndarray]:
    """Return the cells of a block, each with the places of its trainings.

    Parameters
    ----------
    block : Block
        The scores.
    trivial : iterable of str
        The rows that are constant predictors.
    crossed : bool
        Whether labelled subsets and seeds are crossed; otherwise each subset is one training's, and so is
        that of a trivial baseline, which has no seed of its own.

    Returns
    -------
    dict of Cell to ndarray
        Shape (subsets, seeds), (1, seeds) unless they are crossed; -1 where there is no training.
    """
    constant = set(trivial)
    trainings = block.trainings
    if not crossed:
        trainings = trainings.assign(seed=trainings["subset"], subset=0)
    subsets = {subset: place for place, subset in enumerate(sorted(trainings["subset"].unique()))}
    seeds = {seed: place for place, seed in enumerate(sorted(trainings["seed"].unique()))}
    grids: dict[Cell, np.ndarray] = {}
    for place, training in enumerate(trainings.to_dict("records")):
        cell = Cell(
            row=training["row"],
            method=training["method"],
            classification=known_text(training["budget_classification"]),
            segmentation=known_text(training["budget_segmentation"]),
            trivial=training["row"] in constant,
        )
        grid = grids.setdefault(cell, np.full((len(subsets), len(seeds)), -1))
        grid[subsets[training["subset"]], seeds[training["seed"]]] = place
    return grids


def margin(metric: Metric, protocol: Protocol) -> float:
    """Return the largest difference of a metric that does not matter, in the metric's unit."""
    statistics = protocol.statistics
    if math.isfinite(metric.highest):
        return statistics.equivalence
    diagonal = math.hypot(protocol.image_size, protocol.image_size) * protocol.evaluation.spacing
    return statistics.distance_equivalence * diagonal
