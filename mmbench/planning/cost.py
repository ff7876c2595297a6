"""What a run costs, in relative units, from what is known before it runs.

The unit is one forward pass of the paper's full-width encoder over one 256 x 256 image. Only ratios are
meant: they order runs, and one measured run turns them into seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from mmbench.protocol.runs import MethodSummary, RunSpec
from mmbench.protocol.vocabulary import Stream, Task

FORWARD, BACKWARD = 1.0, 2.0
"""A backward pass computes two products for each one of the forward pass."""
DECODER = 2.3
"""Multiplications of the paper's decoder over those of its encoder: 2.42e9 / 1.06e9 at 256 x 256."""
SALIENCY = FORWARD + BACKWARD / 2
"""Forward, and the backward half that reaches the input but no weight."""
REFERENCE_SIDE = 256
SIDE_EXPONENT = 1.75
"""Of the image's side, at full width; less than 2, since each layer also costs something that no pixel adds
to. At a quarter of the width it is nearer to 1.5."""
WIDTHS = {0.125: 0.107, 0.25: 0.186, 0.5: 0.405, 1.0: 1.0, 2.0: 3.399}
"""A training step of the paper's network by width, relative to full width. Multiplications grow with the
square, but narrow layers run at a fraction of a wide one's rate: ``python -m benchmarks.performance.widths``
(one core of an Intel Xeon; both constants)."""
TRIVIAL_COST = 1e-3
"""A trivial baseline has no network; the factor keeps its predictions above nothing."""


def run_cost(
    run: RunSpec,
    method: MethodSummary,
    *,
    train: bool = True,
    predicted: Mapping[Task, int] | None = None,
    validated: Mapping[Task, int] | None = None,
) -> float:
    """Return the estimated cost of training a run and of predicting with it.

    Parameters
    ----------
    run : RunSpec
        What is trained.
    method : MethodSummary
        Its streams, and whether it is a trivial baseline.
    train : bool
        Whether training is counted; otherwise only predictions are.
    predicted : mapping from task to int, optional
        Cases to predict of a task; left out, predictions are not counted.
    validated : mapping from task to int, optional
        Cases of one validation; counted as often as training and selection rule ask for one.

    Returns
    -------
    float
        In encoder forward passes over one full-size image; positive.
    """
    image = _image_cost(run)
    testing = image * sum(_prediction(run, task) * count for task, count in (predicted or {}).items())
    if method.trivial or not train:
        # Never nothing: loading data and scoring take time as well.
        return (TRIVIAL_COST if method.trivial else 1.0) * (image + testing)
    return _training_cost(run, method, validated or {}) + testing


def _training_cost(run: RunSpec, method: MethodSummary, validated: Mapping[Task, int]) -> float:
    step = sum(
        run.training.images_of(stream) * _stream(run, stream) for stream in _streams(run, method.streams)
    )
    validation = sum(_prediction(run, task) * count for task, count in validated.items())
    rounds = 0.0 if run.selection.rule == "last" else run.training.steps / run.selection.every
    rounds += run.training.validations
    return _image_cost(run) * (run.training.steps * step + rounds * validation)


def _image_cost(run: RunSpec) -> float:
    side = (run.image_size / REFERENCE_SIDE) ** SIDE_EXPONENT
    return side * (_width_cost(run.backbone.width) if run.backbone.name == "paper_unet" else 1.0)


def _width_cost(width: float) -> float:
    """Return a width's cost, interpolated between logarithms; beyond the measured widths, by squares."""
    widths, costs = np.array([*WIDTHS]), np.array([*WIDTHS.values()])
    nearest = min(max(width, widths[0]), widths[-1])
    inside = math.exp(np.interp(math.log(nearest), np.log(widths), np.log(costs)))
    return float(inside * (width / nearest) ** 2)


def _streams(run: RunSpec, streams: Iterable[Stream]) -> list[Stream]:
    return [stream for stream in streams if stream.task in run.budgets]


def _stream(run: RunSpec, stream: Stream) -> float:
    """Return the cost of one image of a stream in a training step."""
    if stream.task is Task.SEGMENTATION:
        return (FORWARD + BACKWARD) * (1 + DECODER) + _saliency(run)
    pseudo_label = 0.0 if stream.labeled else FORWARD
    return FORWARD + BACKWARD + pseudo_label


def _prediction(run: RunSpec, task: Task) -> float:
    return FORWARD if task is Task.CLASSIFICATION else FORWARD * (1 + DECODER) + _saliency(run)


def _saliency(run: RunSpec) -> float:
    bridged = run.hyperparameters.get("bridge", "none") not in ("none", "image", None, False)
    return SALIENCY if bridged and Task.CLASSIFICATION in run.budgets else 0.0
