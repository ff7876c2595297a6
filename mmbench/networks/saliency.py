"""The saliency bridge: what the classifier looks at, handed to the mask decoder (ISBI 2021, section 2)."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from mmbench.networks.modes import evaluation_mode, frozen

Bridge = Literal["both", "image", "saliency", "shuffled", "none"]
SaliencyScale = Literal["raw", "minmax"]
BRIDGE_CHANNELS: dict[Bridge, int] = {"both": 2, "image": 1, "saliency": 1, "shuffled": 2, "none": 0}


class Classifier(nn.Module):
    """What a saliency map is of."""

    @abstractmethod
    def classify(self, images: Tensor) -> Tensor:
        """Return class logits, shape (N, classes)."""


def saliency_map(network: Classifier, images: Tensor, *, scale: SaliencyScale = "raw") -> Tensor:
    """Return the absolute gradient of the largest class logit by the input, dropout off.

    Leaves no gradient in the weights and no change of module mode, and works under ``no_grad``.

    Parameters
    ----------
    network : Classifier
        The classifier.
    images : Tensor
        Shape (N, 1, H, W).
    scale : {'raw', 'minmax'}
        ``minmax`` stretches each map to [0, 1].

    Returns
    -------
    Tensor
        Shape (N, 1, H, W), non-negative, float32, without history.
    """
    with torch.enable_grad(), evaluation_mode(network), frozen(network):
        images = images.detach().requires_grad_()
        # S_n = |d max_c z_n,c / d x_n|, of the logits, before softmax. In evaluation mode no image's logits
        # depend on another's pixels, so the gradient of the sum over images holds every image's own.
        score = network.classify(images).max(1).values.sum()
        (gradient,) = torch.autograd.grad(score, images)
    saliency = gradient.detach().float().abs()
    if scale == "minmax":
        low, high = saliency.amin((1, 2, 3), keepdim=True), saliency.amax((1, 2, 3), keepdim=True)
        # A constant map is 0 / tiny = 0 rather than 0 / 0.
        saliency = (saliency - low) / (high - low).clamp_min(torch.finfo(saliency.dtype).tiny)
    return saliency


def bridge_input(images: Tensor, saliency: Tensor | None, bridge: Bridge) -> Tensor:
    """Return what joins the decoder, shape (N, channels, H, W).

    ``shuffled`` moves the saliency map's pixels by one fixed permutation: the same values, without
    their places. It is the control for "two more channels" as against "the classifier's attention".
    """
    if bridge == "image":
        return images
    assert saliency is not None
    if bridge == "saliency":
        return saliency
    if bridge == "shuffled":
        order = _pixel_order(saliency.shape[-2] * saliency.shape[-1]).to(saliency.device)
        saliency = saliency.flatten(2)[:, :, order].view_as(saliency)
    return torch.cat([saliency, images], 1)


@lru_cache(maxsize=8)
def _pixel_order(pixels: int) -> Tensor:
    # Seeded by the size alone: the same in every step, run and process.
    return torch.randperm(pixels, generator=torch.Generator().manual_seed(pixels))
