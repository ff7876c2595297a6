"""Short trainings of a method by the engine itself, on made-up images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmbench.evaluation.adaptation import adapted_predictions
from mmbench.evaluation.prediction import predict
from mmbench.methods.base import Method, Problem
from mmbench.methods.batch import Batch
from mmbench.protocol.schema import Optimizer, Training
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.testing.examples import IMAGES, SIDE, built_on, example_problem
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import train
from mmbench.training.selection import LastWeights
from mmbench.training.streams import StreamLoader, TaskData, labeled_data

CPU = torch.device("cpu")
FEW, STEPS, MANY = 2, 4, 40
"""Steps that tell most methods apart, of a short training, and of one that is long enough for sure
predictions on its few images."""
POOL = 6
"""Images of each stream's pool: not a multiple of the batch, so that batches differ."""
ADAPTING = "adaptation"
"""What stands for adapting among the names of loss terms."""
ADAPTATIONS = 3
"""Batches in which a method that adapts sees the images that it predicts."""
TRAINING = Training(batch_size=IMAGES, optimizer=Optimizer(learning_rate=0.01))

Weights = dict[str, dict[str, Tensor]]


@dataclass
class Trial:
    """A short training and what came of it.

    Attributes
    ----------
    method : Method
        Trained.
    before : dict
        Weights and buffers before the training, by module.
    terms : list of dict
        The loss terms of each step.
    slopes : list of dict
        The largest gradient of each term by any weight, step by step; 0 where there is none.
    predictions : dict of Task to ndarray
        Of images that no stream has; adapted, where the method adapts.
    adapts : bool
        Whether adapting changes some of them.
    """

    method: Method
    before: Weights
    terms: list[dict[str, float]] = field(default_factory=list)
    slopes: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[Task, np.ndarray] = field(default_factory=dict)
    adapts: bool = False

    @property
    def alive(self) -> set[str]:
        """The loss terms that are not zero and move a weight in some step, and adapting if it does so."""
        adapting = {ADAPTING} if self.adapts else set()
        return adapting | {
            name
            for terms, slopes in zip(self.terms, self.slopes, strict=True)
            for name, value in terms.items()
            if value != 0 and slopes[name] > 0
        }

    def differs(self, other: Trial) -> bool:
        """Whether any loss term, prediction or logged value is another one."""
        return self.terms != other.terms or self.predicts_otherwise(other)

    def predicts_otherwise(self, other: Trial) -> bool:
        """Whether any prediction is another one."""
        return any(
            not np.array_equal(self.predictions[task], other.predictions[task]) for task in other.predictions
        )


def trial(
    cls: type[Method],
    values: dict[str, Any],
    *,
    problem: Problem | None = None,
    steps: int = STEPS,
    changed: Stream | None = None,
    checkpoint: Checkpoint | None = None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> Trial:
    """Train a method for some steps.

    Parameters
    ----------
    cls : type of Method
        Not a trivial baseline.
    values : dict
        Hyper-parameters that differ from the defaults.
    problem : Problem, optional
        Where it is not the first that the method accepts.
    steps : int
        How many.
    changed : Stream, optional
        A stream that gets other images than usual.
    checkpoint : Checkpoint, optional
        Where to save after each step, and to resume from.
    on_step : callable
        Told (steps done, steps) after each step.
    """
    method = built_on(cls, values, problem or example_problem(cls, steps=steps))
    training = TRAINING.model_copy(update={"steps": steps})
    data = {task: _data(task, changed) for task in sorted(cls.tasks)}
    method.start(labeled_data(data, cls.streams))
    found = Trial(method, _weights(method))
    _watch(found)
    loader = StreamLoader(data, cls.streams, training, seed=0, views=cls.views)
    train(method, loader, training, LastWeights(), device=CPU, checkpoint=checkpoint, on_step=on_step)
    if cls.adaptation is not None:
        method.adaptation = replace(cls.adaptation, batch_size=POOL // ADAPTATIONS)  # type: ignore[misc]
    images = _images(1)
    for task in sorted(cls.tasks):
        predicted = predict if cls.adaptation is None else adapted_predictions
        found.predictions[task] = predicted(method, images, task, device=CPU)
    if cls.adaptation is not None:
        plain = plain_predictions(method)
        found.adapts = any((found.predictions[task] != plain[task]).any() for task in plain)
    return found


def plain_predictions(method: Method) -> dict[Task, np.ndarray]:
    """Return a method's predictions of a trial's images, without any adaptation."""
    return {task: predict(method, _images(1), task, device=CPU) for task in sorted(type(method).tasks)}


def _watch(found: Trial) -> None:
    """Note each step's loss terms and whether they move a weight."""
    method = found.method
    losses = method.losses
    weights = [w for module in method.modules().values() for w in module.parameters() if w.requires_grad]

    def watched(batch: Batch) -> dict[str, Tensor]:
        terms = losses(batch)
        found.terms.append({name: float(term.detach()) for name, term in terms.items()})
        found.slopes.append({name: _slope(term, weights) for name, term in terms.items()})
        return terms

    method.losses = watched  # type: ignore[method-assign]


def _slope(term: Tensor, weights: list[torch.nn.Parameter]) -> float:
    if not term.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    return max((float(one.abs().max()) for one in gradients if one is not None), default=0.0)


def _weights(method: Method) -> Weights:
    return {
        name: {key: value.clone() for key, value in module.state_dict().items()}
        for name, module in method.modules().items()
    }


def _data(task: Task, changed: Stream | None) -> TaskData:
    """Return pools of smooth random images, each stream's its own."""
    parts = {
        stream: _images(10 + place + 100 * (stream is changed))
        for place, stream in enumerate(Stream)
        if stream.task is task
    }
    labeled, unlabeled, target = sorted(parts, key=lambda stream: (not stream.labeled, stream.target))
    masks = torch.from_numpy((_images(2) > 127).astype(np.uint8))[:, None].repeat(2, 1, 1, 1)
    rows = np.arange(2 * POOL)
    return TaskData(
        images=torch.from_numpy(np.concatenate([parts[labeled], parts[unlabeled]])),
        labels=(torch.arange(2 * POOL) % 3 > 0).long() if task is Task.CLASSIFICATION else None,
        masks=masks if task is Task.SEGMENTATION else None,
        labeled=rows[:POOL],
        unlabeled=rows[POOL:],
        target_images=torch.from_numpy(parts[target]),
    )


def _images(seed: int) -> np.ndarray:
    """Return uint8 images of shape (POOL, SIDE, SIDE): coarse blobs, stretched to the whole range."""
    coarse = torch.rand(POOL, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    fine = interpolate(coarse, (SIDE, SIDE), mode="bicubic", align_corners=True)[:, 0].clamp(0, 1)
    return (fine * 255).to(torch.uint8).numpy()
