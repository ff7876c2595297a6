"""Predictions of a method that adapts to the very images that it predicts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mmbench.evaluation.prediction import predict_some
from mmbench.methods.base import Method
from mmbench.networks.inputs import normalise
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import derive_seed, generator, seed_globally


def adapted_predictions(
    method: Method,
    images: np.ndarray,
    task: Task,
    *,
    device: torch.device,
    precision: str = "float32",
    seed: int = 0,
) -> np.ndarray:
    """Return a method's predictions, batch by batch, each after :meth:`Method.adapt` saw the batch.

    What adapting changes is a copy: the method comes out as it went in.

    Parameters
    ----------
    method : Method
        Built, with its weights; it declares an ``adaptation``.
    images : ndarray
        uint8, shape (N, S, S).
    task : Task
        What to predict.
    device : torch.device
        Where the method's modules are.
    precision : {'float32', 'bf16'}
        As in training.
    seed : int
        Root of the order of the images and of random numbers that the method draws.

    Returns
    -------
    ndarray
        In the order of ``images``, as :func:`mmbench.evaluation.prediction.predict` returns it.

    Raises
    ------
    PluginError
        If the method refuses, or gives no prediction for the task.
    """
    settings = method.adaptation
    assert settings is not None
    order = np.arange(len(images))
    if settings.order == "shuffled":
        order = generator(seed, "order of adaptation", task.value).permutation(order)
    predictions = []
    with _copies(method) as start_anew, torch.autocast(device.type, torch.bfloat16, precision == "bf16"):
        for number, begin in enumerate(range(0, len(images), settings.batch_size)):
            if number == 0 or settings.episodic:
                start_anew()
                method.begin_adaptation(task)
            batch = images[order[begin : begin + settings.batch_size]]
            seed_globally(derive_seed(seed, "adaptation", task.value, number))
            with torch.enable_grad():
                method.adapt(normalise(torch.from_numpy(batch).to(device)), task)
            with torch.no_grad():
                predictions.append(predict_some(method, batch, task, device))
    return np.concatenate(predictions)[np.argsort(order)]


@contextmanager
def _copies(method: Method) -> Iterator[Callable[[], None]]:
    """Hand out a function that gives the method fresh copies of all it keeps, its modules in evaluation mode.

    Afterwards the method has its own again.
    """
    own = dict(vars(method))

    def start_anew() -> None:
        vars(method).clear()
        vars(method).update(copy.deepcopy(own))
        for module in method.modules().values():
            module.eval()

    try:
        yield start_anew
    finally:
        vars(method).clear()
        vars(method).update(own)
