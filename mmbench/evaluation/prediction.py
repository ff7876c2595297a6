"""Running a trained method over a domain's images."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from mmbench.methods.base import Method
from mmbench.networks.inputs import normalise
from mmbench.networks.saliency import evaluation_mode

PIXELS_PER_BATCH = 2**16


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
    method: Method, images: np.ndarray, *, device: torch.device, precision: str = "float32"
) -> DomainPrediction:
    """Return a method's predictions, every module in evaluation mode and without gradients.

    Parameters
    ----------
    method : Method
        Built and trained.
    images : ndarray
        uint8, shape (N, S, S).
    device : torch.device
        Where the method's modules are.
    precision : {'float32', 'bf16'}
        As in training.
    """
    side = images.shape[-1]
    size = max(1, PIXELS_PER_BATCH // side**2)
    probabilities, masks = [], []
    with ExitStack() as stack:
        for module in method.modules().values():
            stack.enter_context(evaluation_mode(module))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"))
        for start in range(0, len(images), size):
            batch = torch.from_numpy(np.array(images[start : start + size])).to(device)
            found = method.predict(normalise(batch))
            if found.class_logits is not None:
                probabilities.append(found.class_logits.double().softmax(1)[:, 1].cpu().numpy())
            if found.mask_logits is not None:
                masks.append(found.mask_logits.float().sigmoid()[:, 0].cpu().numpy())
    return DomainPrediction(
        np.concatenate(probabilities) if probabilities else None, np.concatenate(masks) if masks else None
    )
