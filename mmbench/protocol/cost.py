"""What a cell costs, in relative units, from what is known before it runs.

The unit is one forward pass of the paper's full-width encoder over one 256 x 256 image. Only ratios are
meant: they order cells, and one measured cell turns them into seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmbench.protocol.cells import Cell, MethodSummary
from mmbench.protocol.vocabulary import Stream, Task

FORWARD, BACKWARD = 1.0, 2.0
"""A backward pass computes two products for each one of the forward pass."""
DECODER = 2.3
"""Multiplications of the paper's decoder over those of its encoder: 2.42e9 / 1.06e9 at 256 x 256."""
SALIENCY = FORWARD + BACKWARD / 2
"""Forward, and the backward half that reaches the input but no weight."""
REFERENCE_SIDE = 256
FLOOR_COST = 1e-3
"""A floor has no network; the factor keeps its evaluation above nothing."""


def cell_cost(
    cell: Cell,
    method: MethodSummary,
    *,
    evaluated: Mapping[Task, int] | None = None,
    validated: Mapping[Task, int] | None = None,
) -> float:
    """Return the estimated cost of training and evaluating a cell.

    Parameters
    ----------
    cell : Cell
        What is trained.
    method : MethodSummary
        Its streams, and whether it is a floor.
    evaluated : mapping from task to int, optional
        Cases over all targets of a task; left out, evaluation is not counted.
    validated : mapping from task to int, optional
        Cases of one validation; counted every ``selection.every`` steps unless the rule is ``last``.

    Returns
    -------
    float
        In encoder forward passes over one full-size image; positive.
    """
    image = _image_cost(cell)
    testing = image * sum(_prediction(cell, task) * count for task, count in (evaluated or {}).items())
    if method.floor:
        return FLOOR_COST * (image + testing)
    step = cell.training.batch_size * sum(_stream(cell, stream) for stream in _streams(cell, method.streams))
    validation = sum(_prediction(cell, task) * count for task, count in (validated or {}).items())
    rounds = 0 if cell.selection.rule == "last" else cell.training.steps / cell.selection.every
    return image * (cell.training.steps * step + rounds * validation) + testing


def _image_cost(cell: Cell) -> float:
    side = (cell.image_size / REFERENCE_SIDE) ** 2
    return side * (cell.backbone.width**2 if cell.backbone.name == "paper_unet" else 1.0)


def _streams(cell: Cell, streams: Iterable[Stream]) -> list[Stream]:
    return [stream for stream in streams if stream.task in cell.budgets]


def _stream(cell: Cell, stream: Stream) -> float:
    """Return the cost of one image of a stream in a training step."""
    if stream.task is Task.SEGMENTATION:
        return (FORWARD + BACKWARD) * (1 + DECODER) + _saliency(cell)
    pseudo_label = 0.0 if stream.labeled else FORWARD
    return FORWARD + BACKWARD + pseudo_label


def _prediction(cell: Cell, task: Task) -> float:
    return FORWARD if task is Task.CLASSIFICATION else FORWARD * (1 + DECODER) + _saliency(cell)


def _saliency(cell: Cell) -> float:
    bridged = cell.hyperparameters.get("bridge", "none") not in ("none", "image", None, False)
    return SALIENCY if bridged and Task.CLASSIFICATION in cell.budgets else 0.0
