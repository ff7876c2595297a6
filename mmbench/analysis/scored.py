"""One metric of every training of a domain, and which trainings belong together."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mmbench.analysis.rows import Cell, Column, known_text
from mmbench.evaluation.classification import CALIBRATION_BINS
from mmbench.protocol.metrics import Metric
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.stats.blocks import Block
from mmbench.stats.intervals import Interval, logit_interval
from mmbench.stats.mixed import Estimate, mean_estimate
from mmbench.stats.resampling import Replicates, replicates

Group = tuple[Sequence[Cell], Sequence[Cell]]


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
    diagonal : float
        Of the images, in the unit of distances.
    """

    block: Block
    metric: Metric
    replicates: Replicates
    covariance: np.ndarray
    grids: dict[Cell, np.ndarray]
    diagonal: float = math.inf

    def values(self, cell: Cell) -> np.ndarray:
        """Return a cell's values, shape (subsets, seeds); NaN where there is no training."""
        grid = self.grids[cell]
        return np.where(grid >= 0, self.replicates.observed[grid], np.nan)

    def runs(self, cell: Cell) -> list[str]:
        """Return the ids of a cell's runs."""
        grid = self.grids[cell]
        return list(self.block.trainings["run"].iloc[grid[grid >= 0]])

    def resampled(self, cell: Cell) -> np.ndarray:
        """Return a cell's values on resampled patients, shape (resamples, subsets, seeds)."""
        grid = self.grids[cell]
        return np.where(grid >= 0, self.replicates.resampled[:, grid], np.nan)

    def estimate(self, cell: Cell, confidence: float) -> Estimate:
        """Return a cell's mean over trainings, its interval within the metric's range."""
        found = self.contrast([([cell], [])], confidence)
        ends = Interval(
            float(np.maximum(found.low, self.metric.lowest)),
            float(np.minimum(found.high, self.metric.highest)),
        )
        if (self.metric.lowest, self.metric.highest) == (0, 1) and 0 < found.value < 1 and found.has_interval:
            ends = logit_interval(found.value, found.value - found.low)
        return replace(found, low=ends.low, high=ends.high)

    def difference(self, a: Cell, b: Cell, confidence: float) -> Estimate:
        """Return the mean difference a - b over the trainings that share subset and seed."""
        return self.contrast([([a], [b])], confidence)

    def contrast(self, groups: Sequence[Group], confidence: float, without: Container[str] = ()) -> Estimate:
        """Return the mean over independent budgets of the mean of some cells minus that of others.

        Parameters
        ----------
        groups : sequence of (sequence of Cell, sequence of Cell)
            One per budget: cells that are averaged, and those that are taken off.
        confidence : float
            In (0, 1).
        without : container of str
            Ids of runs that are left out.
        """
        grids, weights = [], []
        for added, taken in groups:
            signed = [(cell, 1 / len(added)) for cell in added] + [(cell, -1 / len(taken)) for cell in taken]
            own = [(self._beside(cell) if taken else self.grids[cell], share) for cell, share in signed]
            grids.append(np.sum([share * self._kept(grid, without) for grid, share in own], axis=0))
            weights.append(np.sum([share * self._indicator(grid) for grid, share in own], axis=0))
        matrix = np.concatenate(weights)
        # Undefined trainings have no weight in what enters, but 0 times NaN would be NaN.
        covariance = matrix @ np.nan_to_num(self.covariance) @ matrix.T
        patients = self.patients
        # Resampling P patients underestimates the variance by (P - 1) / P.
        corrected = covariance * (patients / (patients - 1) if patients > 1 else 1.0)
        return mean_estimate(grids, corrected, patients, confidence, self.reach)

    def _beside(self, cell: Cell) -> np.ndarray:
        """Return a cell's grid to be paired with another: a constant that no seed changes has every seed."""
        grid = self.grids[cell]
        constant = cell.trivial and (grid[:, 1:] < 0).all()
        return np.repeat(grid[:, :1], grid.shape[1], axis=1) if constant else grid

    def _kept(self, grid: np.ndarray, without: Container[str]) -> np.ndarray:
        """Return the values of a grid of trainings; NaN where one is missing or left out."""
        runs = self.block.trainings["run"].to_numpy()
        lost = [place < 0 or runs[place] in without for place in grid.ravel()]
        return np.where(np.reshape(lost, grid.shape), np.nan, self.replicates.observed[grid])

    def _indicator(self, grid: np.ndarray) -> np.ndarray:
        """Return which run each training of a grid is, shape (subsets * seeds, runs)."""
        return (grid.reshape(-1, 1) == np.arange(len(self.covariance))).astype(float)

    @property
    def reach(self) -> float:
        """The largest possible difference of two values."""
        return (
            self.metric.highest - self.metric.lowest if math.isfinite(self.metric.highest) else self.diagonal
        )

    @cached_property
    def patients(self) -> float:
        """The effective number of independent patients, of the rarer class where both classes count."""
        return self.block.effective_patients(by_class=needs_both_classes(self.metric))

    def per_case(self, cell: Cell) -> np.ndarray | None:
        """Return the per-case scores of a cell's trainings (subsets * seeds, N); None for pooled metrics."""
        grid = self.grids[cell].ravel()
        pooled = self.metric.task is Task.CLASSIFICATION and not self.metric.per_case
        if self.metric.name in self.block.scores and not pooled:
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
    return Scored(block, metric, found, found.covariance, grids, diagonal(protocol))


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


def needs_both_classes(metric: Metric) -> bool:
    """Whether a metric is known no better than the rarer class, as all but means over cases are."""
    if metric.per_case:
        return False
    return metric.task is Task.CLASSIFICATION and metric.name not in ("accuracy", "brier", "ece")


def margin(metric: Metric, protocol: Protocol) -> float:
    """Return the largest difference of a metric that does not matter, in the metric's unit."""
    statistics = protocol.statistics
    if math.isfinite(metric.highest):
        return statistics.equivalence
    return statistics.distance_equivalence * diagonal(protocol)


def diagonal(protocol: Protocol) -> float:
    """Return the length of an image's diagonal, in the unit of distances."""
    return math.hypot(protocol.image_size, protocol.image_size) * protocol.evaluation.spacing
