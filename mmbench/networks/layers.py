"""Layers of the paper's network, computed the quick way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class InstanceNorm(nn.Module):
    """Instance normalisation without affine parameters or running statistics.

    Group normalisation with one channel per group is the same function and, on a CPU, a kernel that is
    two to three times as quick as ``nn.InstanceNorm2d``'s; it wants its input contiguous.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) with mean 0 and variance 1 per image and channel."""
        if features.device.type == "cpu":
            features = features.contiguous()
        return functional.group_norm(features, features.shape[1])


class Dropout(nn.Module):
    """Elementwise dropout whose mask, on a CPU, costs one random byte per element.

    The rate is rounded to a multiple of 1/256 there (0.25 is one), and the scale is that of the rounded
    rate, so that the expectation stays exact.

    Parameters
    ----------
    rate : float
        Probability in [0, 1) of setting an element to zero.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self._threshold = round(rate * 256)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, in training with a share ``rate`` set to zero and the rest scaled up."""
        if not self.training or self.rate == 0:
            return features
        if features.device.type != "cpu":
            return functional.dropout(features, self.rate)
        words = torch.empty(-(-features.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: features.numel()].view(features.shape) >= self._threshold
        return features * kept.to(features.dtype).mul_(256 / (256 - self._threshold))

    def extra_repr(self) -> str:
        """Show the rate in the network's description."""
        return f"rate={self.rate}"


def halve(features: Tensor) -> Tensor:
    """Return the maximum of each 2x2 square, shape (N, C, H // 2, W // 2): ``max_pool2d(features, 2)``.

    Values and gradients are the same to the bit (of equal values the first takes the gradient), but a CPU
    does it quicker: ``max_pool2d`` looks for the maxima's places one by one, even where no gradient is
    wanted.
    """
    if features.device.type != "cpu":
        return functional.max_pool2d(features, 2)
    height, width = features.shape[-2] // 2 * 2, features.shape[-1] // 2 * 2
    halved: Tensor = _Halve.apply(features[..., :height, :width])
    return halved


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        rows = torch.maximum(features[..., ::2, :], features[..., 1::2, :])
        halved = torch.maximum(rows[..., ::2], rows[..., 1::2])
        ctx.save_for_backward(features, halved)
        return halved

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        features, halved = ctx.saved_tensors
        spread = torch.empty_like(features)
        free = torch.ones_like(halved, dtype=torch.bool)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            here = free & (features[..., row::2, column::2] == halved)
            torch.mul(gradient, here, out=spread[..., row::2, column::2])
            free ^= here
        return spread
