"""Running a trained method over a domain's images."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch

from mmbench.data.dataset import Dataset
from mmbench.errors import PluginError
from mmbench.methods.base import Method
from mmbench.networks.inputs import normalise, release_memory
from mmbench.networks.modes import evaluation_mode
from mmbench.protocol.vocabulary import Task

PIXELS_PER_BATCH = {"cpu": 2**16, "cuda": 2**24}
"""A CPU gains nothing from more than its cache holds; a GPU takes what fits, at first 1,024 images of 128."""


def predict(
    method: Method, images: np.ndarray, task: Task, *, device: torch.device, precision: str = "float32"
) -> np.ndarray:
    """Return a method's predictions for a task, every module in evaluation mode and without gradients.

    Where a GPU's memory runs out, the batches are halved until they fit.

    Parameters
    ----------
    method : Method
        Built, with its weights.
    images : ndarray
        uint8, shape (N, S, S).
    task : Task
        What to predict.
    device : torch.device
        Where the method's modules are.
    precision : {'float32', 'bf16'}
        As in training.

    Returns
    -------
    ndarray
        float32 in [0, 1]: the probability of each class, shape (N, K), or of each structure at each pixel,
        (N, structures, S, S).

    Raises
    ------
    PluginError
        If the method gives no prediction for the task.
    """
    side = images.shape[-1]
    size = max(1, PIXELS_PER_BATCH[device.type] // side**2)
    predictions = []
    with ExitStack() as stack:
        for module in method.modules().values():
            stack.enter_context(evaluation_mode(module))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"))
        start = 0
        while start < len(images):
            try:
                found = predict_some(method, images[start : start + size], task, device)
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                found = None
            if found is None:  # outside the handler, which would keep the failed pass's tensors alive
                size = -(-min(size, len(images)) // 2)
                release_memory(device)
                continue
            start += size
            predictions.append(found)
    return np.concatenate(predictions)


def check_outputs(method: Method, probabilities: np.ndarray, task: Task, dataset: Dataset) -> None:
    """Refuse predictions of another number of classes or structures than the dataset has.

    Raises
    ------
    PluginError
        Naming the method.
    """
    names = dataset.structures if task is Task.SEGMENTATION else dataset.classes
    if probabilities.shape[1] != len(names):
        raise PluginError(
            f"method {method.name!r} predicts {probabilities.shape[1]} for {task.value}, but the protocol "
            f"asks for {', '.join(names)}; have its skip() refuse such protocols"
        )


def predict_some(method: Method, images: np.ndarray, task: Task, device: torch.device) -> np.ndarray:
    """Return a method's predictions of one batch; parameters and result are those of :func:`predict`."""
    found = method.predict(normalise(torch.from_numpy(np.array(images)).to(device)), task)
    logits = found.class_logits if task is Task.CLASSIFICATION else found.mask_logits
    if logits is None:
        raise PluginError(f"method {method.name!r} predicts nothing for {task.value}; predict must return it")
    if task is Task.CLASSIFICATION:
        # In double precision, so that only the result is rounded.
        return logits.double().softmax(1).float().cpu().numpy()
    return logits.float().sigmoid().cpu().numpy()
