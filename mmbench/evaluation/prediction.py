"""Running a trained method over a domain's images."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from mmbench.methods.base import Method
from mmbench.networks.inputs import normalise, release_memory
from mmbench.networks.modes import evaluation_mode
from mmbench.protocol.vocabulary import Task

PIXELS_PER_BATCH = {"cpu": 2**16, "cuda": 2**24}
"""A CPU gains nothing from more than its cache holds; a GPU takes what fits, at first 1,024 images of 128."""


@dataclass(frozen=True)
class DomainPrediction:
    """Predictions for N images, in the order given.

    Attributes
    ----------
    probabilities : ndarray or None
        Of pneumonia, float64, shape (N,).
    masks : ndarray or None
        Probability of lung per pixel, float32, shape (N, S, S).
    """

    probabilities: np.ndarray | None
    masks: np.ndarray | None


def predict(
    method: Method, images: np.ndarray, task: Task, *, device: torch.device, precision: str = "float32"
) -> DomainPrediction:
    """Return a method's predictions for a task, every module in evaluation mode and without gradients.

    Where a GPU's memory runs out, the batches are halved until they fit.

    Parameters
    ----------
    method : Method
        Built and trained.
    images : ndarray
        uint8, shape (N, S, S).
    task : Task
        Which part of the method's predictions to take.
    device : torch.device
        Where the method's modules are.
    precision : {'float32', 'bf16'}
        As in training.
    """
    side = images.shape[-1]
    size = max(1, PIXELS_PER_BATCH[device.type] // side**2)
    probabilities, masks = [], []
    with ExitStack() as stack:
        for module in method.modules().values():
            stack.enter_context(evaluation_mode(module))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"))
        start = 0
        while start < len(images):
            try:
                found = _predict_some(method, images[start : start + size], task, device)
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                found = None
            if found is None:  # outside the handler, which would keep the failed pass's tensors alive
                size = -(-min(size, len(images)) // 2)
                release_memory(device)
                continue
            start += size
            if found.probabilities is not None:
                probabilities.append(found.probabilities)
            if found.masks is not None:
                masks.append(found.masks)
    return DomainPrediction(
        np.concatenate(probabilities) if probabilities else None, np.concatenate(masks) if masks else None
    )


def _predict_some(method: Method, images: np.ndarray, task: Task, device: torch.device) -> DomainPrediction:
    found = method.predict(normalise(torch.from_numpy(np.array(images)).to(device)), task)
    if task is Task.CLASSIFICATION:
        logits = found.class_logits
        return DomainPrediction(
            None if logits is None else logits.double().softmax(1)[:, 1].cpu().numpy(), None
        )
    masks = found.mask_logits
    return DomainPrediction(None, None if masks is None else masks.float().sigmoid()[:, 0].cpu().numpy())
