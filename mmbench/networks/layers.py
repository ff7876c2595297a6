"""Layers of the paper's network, computed the quick way.

On a CPU features lie channels-last where the network is wide enough to fill a vector with channels, since
convolutions are quicker so; each layer takes either layout and keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5
PIECE = 2**17
"""Elements worked on at a time, so that what one operation leaves is in the cache for the next."""

_aten = torch.ops.aten


def channels_last(images: Tensor) -> Tensor:
    """Return images of one channel, (N, 1, H, W), with the strides that say channels-last.

    With one channel both layouts are the same memory; the strides decide which one a convolution makes.
    """
    height, width = images.shape[-2:]
    return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


def like(features: Tensor, other: Tensor) -> Tensor:
    """Return features in the layout and of the type of others, ready to be joined."""
    layout = torch.channels_last if _channels_last(other) else torch.contiguous_format
    return features.to(other.dtype, memory_format=layout)


class NormalisedLeakyReLU(nn.Module):
    """Instance normalisation (no affine parameters, no running statistics), then LeakyReLU.

    Parameters
    ----------
    slope : float
        Of LeakyReLU for negative values.
    """

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W), normalised per image and channel and activated."""
        if _by_hand(features):
            if features.is_contiguous(memory_format=torch.channels_last) and _channels_last(features):
                activated: Tensor = _NormalisedLeakyReLU.apply(features, self.slope)
                return activated
            features = features.contiguous()
        return functional.leaky_relu_(_instance_norm(features), self.slope)

    def extra_repr(self) -> str:
        """Show the slope in the network's description."""
        return f"slope={self.slope}"


def _instance_norm(features: Tensor) -> Tensor:
    """Normalise by group normalisation with one channel per group: the same, two to three times as quick."""
    return functional.group_norm(features, features.shape[1], eps=EPSILON)


class _NormalisedLeakyReLU(torch.autograd.Function):
    """For channels-last features on a CPU: image by image, so that the cache holds what is worked on.

    Batch normalisation of one image is instance normalisation, and its kernel is quick in this layout.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, slope: float) -> Tensor:
        activated = torch.empty_like(features)
        kind = torch.promote_types(features.dtype, torch.float32)
        means, scales = torch.empty(2, *features.shape[:2], dtype=kind)
        ones = means.new_ones(features.shape[1])
        for image, out, mean, scale in zip(features.split(1), activated.split(1), means, scales, strict=True):
            _aten.native_batch_norm.out(
                image, ones, None, None, None, True, 0.0, EPSILON, out=out, save_mean=mean, save_invstd=scale
            )
            functional.leaky_relu_(out, slope)
        ctx.save_for_backward(features, activated, means, scales)
        ctx.slope = slope
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features, activated, means, scales = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            again = functional.leaky_relu(_instance_norm(features), ctx.slope)
            return torch.autograd.grad(again, features, gradient, create_graph=True)[0], None
        result, ones = torch.empty_like(features), means.new_ones(features.shape[1])
        images = zip(features.split(1), activated.split(1), gradient.split(1), means, scales, strict=True)
        for out, (image, active, given, mean, scale) in zip(result.split(1), images, strict=True):
            inner = _aten.leaky_relu_backward(given, active, ctx.slope, True)
            inner = inner.contiguous(memory_format=torch.channels_last)
            found = _aten.native_batch_norm_backward(
                inner, image, ones, None, None, mean, scale, True, EPSILON, [True, False, False]
            )
            out.copy_(found[0])
        return result, None


def _channels_last(features: Tensor) -> bool:
    return not features.is_contiguous()


def _by_hand(features: Tensor) -> bool:
    """Whether the quick ways of this file are: on a CPU, unless a compiler will find its own."""
    return features.device.type == "cpu" and not torch.compiler.is_compiling()


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
        if not _by_hand(features):
            return functional.dropout(features, self.rate)
        words = torch.empty(-(-features.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        random = words.view(torch.uint8)[: features.numel()]
        # A flat mask laid over the features as they lie, made of bytes by steps that vectorise: a comparison
        # and its conversion to numbers do not.
        mask, scale = torch.empty_like(features), 256 / (256 - self._threshold)
        flat = mask.as_strided((mask.numel(),), (1,))
        for part, given in zip(flat.split(PIECE), random.split(PIECE), strict=True):
            part.copy_(given).sub_(self._threshold - 1).mul_(scale).clamp_(0, scale)
        return features * mask

    def extra_repr(self) -> str:
        """Show the rate in the network's description."""
        return f"rate={self.rate}"


def halve(features: Tensor) -> Tensor:
    """Return the maximum of each 2x2 square, shape (N, C, H // 2, W // 2): ``max_pool2d(features, 2)``.

    Values and gradients are the same to the bit (of equal values the first takes the gradient), but a CPU
    does it quicker: ``max_pool2d`` looks for the maxima's places, even where no gradient is wanted, and one
    by one unless features lie channels-last.
    """
    wanted = torch.is_grad_enabled() and features.requires_grad
    if not _by_hand(features) or (wanted and _channels_last(features)):
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
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            again = functional.max_pool2d(features, 2)
            return torch.autograd.grad(again, features, gradient, create_graph=True)[0]
        spread = torch.empty_like(features)
        free = torch.ones_like(halved, dtype=torch.bool)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            here = free & (features[..., row::2, column::2] == halved)
            torch.mul(gradient, here, out=spread[..., row::2, column::2])
            free ^= here
        return spread


def resize(features: Tensor, size: Sequence[int]) -> Tensor:
    """Return features of another size (H, W), interpolated bilinearly, corners kept in their places.

    Where features lie channels-last on a CPU, the gradient is two matrix products: interpolation is linear
    in each direction, and PyTorch's kernel adds the pixels up one by one.
    """
    if _by_hand(features) and _channels_last(features):
        resized: Tensor = _Resize.apply(features, size)
        return resized
    return functional.interpolate(features, list(size), mode="bilinear", align_corners=True)


class _Resize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, size: Sequence[int]) -> Tensor:
        ctx.before = features.shape
        with torch.autocast("cpu", enabled=False):  # it would make float32 of bfloat16
            return functional.interpolate(features, list(size), mode="bilinear", align_corners=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        count, channels, height, width = ctx.before
        tall, wide = gradient.shape[-2:]
        rows = gradient.permute(0, 2, 3, 1).reshape(count, tall, wide * channels)
        rows = _weights(tall, height).to(gradient.dtype) @ rows
        columns = rows.view(count * height, wide, channels)
        columns = _weights(wide, width).to(gradient.dtype) @ columns
        return columns.view(count, height, width, channels).permute(0, 3, 1, 2), None


@lru_cache(maxsize=32)
def _weights(after: int, before: int) -> Tensor:
    """Return how much each of ``before`` points adds to each of ``after`` in between: (before, after)."""
    each = torch.eye(before, dtype=torch.float64)[None]
    return functional.interpolate(each, after, mode="linear", align_corners=True)[0]
