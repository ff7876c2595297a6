"""What is drawn case by case: ROC and calibration curves, and each case's mean score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmbench.analysis.records import CaseMeans, Curve
from mmbench.analysis.rows import Cell, Place
from mmbench.protocol.vocabulary import Task
from mmbench.stats.blocks import Block

FALSE_POSITIVE_RATES = np.linspace(0, 1, 41)
BINS = 10
Grids = Mapping[Cell, np.ndarray]


def curves_of(block: Block, grids: Grids, order: Sequence[Cell]) -> list[Curve]:
    """Return each cell's ROC curve (vertical average over trainings) and calibration curve.

    Calibration pools the trainings' cases in ten equal-width bins of the probability of pneumonia: mean
    probability against share of pneumonia. Of other classes each one is set against the rest: ROC curves are
    averaged over classes, where each occurs, and calibration pools them.

    Parameters
    ----------
    block : Block
        The scores; only classification has curves.
    grids : mapping of Cell to ndarray
        From :func:`mmbench.analysis.scored.grids_of`.
    order : sequence of Cell
        Gives the order of records; trivial baselines have no curve.
    """
    if block.task != Task.CLASSIFICATION:
        return []
    classes, place = block.against_rest, place_of(block)
    ranked = all(positive.any() and not positive.all() for _, positive in classes)
    found = []
    for cell, runs in _learners(grids, order):
        if ranked:
            every = [_hit_rates(one, positive) for values, positive in classes for one in values[runs]]
            count = np.full(len(FALSE_POSITIVE_RATES), len(runs))
            found.append(Curve("roc", cell, place, FALSE_POSITIVE_RATES, np.mean(every, axis=0), count))
        pooled = np.concatenate([values[runs] for values, _ in classes], axis=1)
        positive = np.concatenate([positive for _, positive in classes])
        found.append(Curve("calibration", cell, place, *_calibration(pooled, positive)))
    return found


def case_means(block: Block, grids: Grids, order: Sequence[Cell]) -> list[CaseMeans]:
    """Return each case's Dice or probability of pneumonia, mean over a cell's trainings.

    Of other classes, the probability of the one that the case is of.

    Parameters are those of :func:`curves_of`.
    """
    values = _of_own_class(block) if block.task == Task.CLASSIFICATION else block.scores["dice"]
    labels = block.scores["label"][0] if "label" in block.scores else np.full(len(block.case_ids), np.nan)
    place = place_of(block)
    return [
        CaseMeans(cell, place, block.case_ids, block.patient_ids, labels, values[runs].mean(0))
        for cell, runs in _learners(grids, order)
    ]


def _of_own_class(block: Block) -> np.ndarray:
    classes = block.against_rest
    if len(classes) == 1:
        return classes[0][0]
    return np.asarray(np.sum([np.where(own, values, 0) for values, own in classes], axis=0))


def place_of(block: Block) -> Place:
    """Return the task and the domain of a block."""
    return Place(block.in_domain, Task(block.task), block.domain)


def _learners(grids: Grids, order: Sequence[Cell]) -> Iterator[tuple[Cell, np.ndarray]]:
    """Yield each cell that is no trivial baseline with the places of its runs in the block."""
    for cell in order:
        if cell in grids and not cell.trivial:
            yield cell, grids[cell][grids[cell] >= 0]


def _calibration(probability: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean probability, share of pneumonia and count of each bin that holds a case."""
    labels = np.broadcast_to(positive, probability.shape).ravel()
    flat = probability.ravel()
    member = np.minimum((flat * BINS).astype(int), BINS - 1)
    inside = [member == number for number in np.unique(member)]
    return (
        np.array([flat[own].mean() for own in inside]),
        np.array([labels[own].mean() for own in inside]),
        np.array([own.sum() for own in inside]),
    )


def _hit_rates(probability: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the true positive rate at each false positive rate, straight lines between thresholds."""
    order = np.argsort(-probability, kind="stable")
    # Cases of one probability pass a threshold together: only the last of each counts.
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits = np.concatenate([[0], np.cumsum(positive[order])[last]])
    alarms = np.concatenate([[0], np.cumsum(~positive[order])[last]])
    return np.interp(FALSE_POSITIVE_RATES, alarms / alarms[-1], hits / hits[-1])
