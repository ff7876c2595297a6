"""Layers of the paper's network, with faster implementations for the CPU.

On a CPU features are stored channels-last where the network is wide enough to fill a vector register with
channels, since convolutions are faster that way; each layer takes either layout and keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmbench.networks import kernels

EPSILON = 1e-5


def channels_last(images: Tensor) -> Tensor:
    """Return images of one channel, (N, 1, H, W), with the strides that say channels-last.

    With one channel both layouts are the same memory; the strides decide which one a convolution makes.
    """
    # A channel's stride is never used with one channel, so 1 says channels-last without moving anything.
    height, width = images.shape[-2:]
    return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


def like(features: Tensor, other: Tensor) -> Tensor:
    """Return features in the layout and of the type of others, ready to be joined."""
    return features.to(other.dtype, memory_format=_layout(other))


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

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, in training with a share ``rate`` set to zero and the rest scaled up."""
        if not self.training or self.rate == 0:
            return features
        if not _by_hand(features):
            return functional.dropout(features, self.rate)
        dropped: Tensor = _Dropout.apply(features, self.draw(features), _layout(features))
        return dropped

    def draw(self, features: Tensor) -> kernels.Dropout:
        """Return a random byte per element (none in evaluation), from which on one is kept, and the scale."""
        # A byte is below t with probability t / 256, so 1 - t / 256 is kept, and the scale is its inverse.
        # Bytes are drawn eight at a time, as 64-bit words from the whole range.
        count = features.numel() if self.training and self.rate > 0 else 0
        words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
        threshold = min(round(self.rate * 256), 255)
        return words.view(torch.uint8)[:count].numpy(), threshold, _number(256 / (256 - threshold), features)

    def extra_repr(self) -> str:
        """Show the rate in the network's description."""
        return f"rate={self.rate}"


class _Dropout(torch.autograd.Function):
    """By one random byte per element in the order of memory; its gradient is the same function."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, dropout: kernels.Dropout, layout: torch.memory_format) -> Tensor:
        features = features.contiguous(memory_format=layout)
        dropped = torch.empty_like(features)
        random, threshold, scale = ctx.dropout = dropout
        ctx.layout = layout
        kernels.drop(_elements(features), random, _elements(dropped), threshold, scale)
        return dropped

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # y = x * m has the gradient g * m: the same mask and scale, and differentiable in turn.
        return _Dropout.apply(gradient, ctx.dropout, ctx.layout), None, None


class NormalisedLeakyReLU(nn.Module):
    """Instance normalisation (no affine parameters, no running statistics), LeakyReLU, and dropout if wanted.

    Parameters
    ----------
    slope : float
        Of LeakyReLU for negative values.
    dropout : float
        The rate of :class:`Dropout`.
    """

    def __init__(self, slope: float, dropout: float = 0.0):
        super().__init__()
        self.slope = slope
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W), normalised per image and channel and activated."""
        if _by_hand(features) and _layout(features) == torch.channels_last:
            activated: Tensor = _Activation.apply(features, self.slope, self.dropout.draw(features))
            return activated
        return self.dropout(functional.leaky_relu_(_instance_norm(features), self.slope))

    def extra_repr(self) -> str:
        """Show the slope in the network's description."""
        return f"slope={self.slope}"


def _instance_norm(features: Tensor) -> Tensor:
    """Normalise by group normalisation, one channel per group: the same, two to three times as fast."""
    return functional.group_norm(features, features.shape[1], eps=EPSILON)


class _Activation(torch.autograd.Function):
    """Normalisation, LeakyReLU and dropout of channels-last features on a CPU, in one kernel."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, slope: float, dropout: kernels.Dropout) -> Tensor:
        activated, rows = torch.empty_like(features), _rows(features)
        random, *rest = dropout
        ctx.dropout = random.reshape(rows.shape if random.size else (0, 0, 0)), *rest
        ctx.slope, epsilon = _number(slope, features), _number(EPSILON, features)
        ctx.means, ctx.scales = np.empty((2, *features.shape[:2]), epsilon.dtype)
        ctx.save_for_backward(features)
        kernels.normalise(rows, _rows(activated), ctx.means, ctx.scales, ctx.slope, epsilon, ctx.dropout)
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (features,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A gradient of the gradient is wanted: the kernel has none, so the same function is rebuilt
            # from operations that PyTorch can differentiate twice, with the bytes that were drawn.
            again = functional.leaky_relu(_instance_norm(features), float(ctx.slope))
            random, *rest = ctx.dropout
            if random.size:
                again = _Dropout.apply(again, (random.reshape(-1), *rest), torch.channels_last)
            return torch.autograd.grad(again, features, gradient, create_graph=True)[0], None, None
        gradient, result = gradient.contiguous(memory_format=torch.channels_last), torch.empty_like(features)
        rows = _rows(gradient), _rows(features), _rows(result)
        kernels.normalise_backward(*rows, ctx.means, ctx.scales, ctx.slope, ctx.dropout)
        return result, None, None


def halve(features: Tensor) -> Tensor:
    """Return the maximum of each 2x2 square, shape (N, C, H // 2, W // 2): ``max_pool2d(features, 2)``.

    Values and gradients are the same to the bit: of equal values the first takes the gradient.
    """
    if not _by_hand(features):
        return functional.max_pool2d(features, 2)
    halved: Tensor = _Halve.apply(features, _layout(features))
    return halved


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, layout: torch.memory_format) -> Tensor:
        *first, height, width = features.shape
        shape = *first, height // 2, width // 2
        halved = torch.empty(shape, dtype=features.dtype, memory_format=layout)
        pixels = _pixels(features.contiguous(memory_format=layout), layout), _pixels(halved, layout)
        kernels.halve(*pixels)
        # One byte per square is all that the gradient needs; max_pool2d keeps an int64 index for each.
        if ctx.needs_input_grad[0]:
            ctx.places = torch.empty(shape, dtype=torch.uint8, memory_format=layout)
            ctx.layout, ctx.size = layout, (height, width)
            kernels.find_largest(*pixels, _pixels(ctx.places, layout))
        return halved

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _HalveBackward.apply(gradient, ctx.places, ctx.size, ctx.layout), None


class _HalveBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, places: Tensor, size: tuple[int, int], layout: torch.memory_format
    ) -> Tensor:
        ctx.places = places
        gradient = gradient.contiguous(memory_format=layout)
        spread = torch.empty((*gradient.shape[:2], *size), dtype=gradient.dtype, memory_format=layout)
        # The last row or column of an odd size is in no square and gets no gradient.
        if size[0] % 2 or size[1] % 2:
            spread.zero_()
        kernels.give_largest(_pixels(gradient, layout), _pixels(places, layout), _pixels(spread, layout))
        return spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        # Each square's gradient went to one place, so the gradient of that is what arrives at this place:
        # (..., H, W) is cut into squares, (..., H/2, 2, W/2, 2), made (..., H/2, W/2, 4) in reading order.
        height, width = (2 * side for side in ctx.places.shape[-2:])
        squares = gradient[..., :height, :width].unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))
        flat = squares.transpose(-2, -3).flatten(-2)
        return flat.gather(-1, ctx.places.long()[..., None])[..., 0], None, None, None


def resize(features: Tensor, size: Sequence[int]) -> Tensor:
    """Return features of another size (H, W), interpolated bilinearly, corners kept in their places."""
    if _by_hand(features) and _layout(features) == torch.channels_last:
        resized: Tensor = _Resize.apply(features, size)
        return resized
    return _interpolate(features, size)


def _interpolate(features: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(features, list(size), mode="bilinear", align_corners=True)


class _Resize(torch.autograd.Function):
    """Of channels-last features on a CPU, where PyTorch's gradient adds the pixels up one by one."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, size: Sequence[int]) -> Tensor:
        ctx.before = features.shape[-2:]
        with torch.autocast("cpu", enabled=False):  # it would make float32 of bfloat16
            return _interpolate(features, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _ResizeBackward.apply(gradient, ctx.before), None


class _ResizeBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, before: Sequence[int]) -> Tensor:
        if gradient.stride(1) != 1:  # else it may be a part of joined features, which need not be copied
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        ctx.after = gradient.shape[-2:]
        shape = *gradient.shape[:2], *before
        result = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        strides = gradient.stride(0), gradient.stride(2), gradient.stride(3)
        pixels, zero = _pixels(result, torch.channels_last), _number(0, gradient)
        kernels.resize_backward(_elements(gradient), strides, tuple(ctx.after), pixels, zero)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # The transpose of the transpose of a linear function is the function itself.
        return _interpolate(gradient, ctx.after), None


def _by_hand(features: Tensor) -> bool:
    """Whether this file's kernels apply: on a CPU, unless a compiler generates its own."""
    return features.device.type == "cpu" and not torch.compiler.is_compiling()


def _layout(features: Tensor) -> torch.memory_format:
    """Return the layout of features; contiguous if they are in both layouts or in neither."""
    there = features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
    return torch.channels_last if there else torch.contiguous_format


def _number(value: float, features: Tensor) -> Any:
    """Return a number of the type that arithmetic on the features is in."""
    return np.float64(value) if features.dtype == torch.float64 else np.float32(value)


def _rows(features: Tensor) -> NDArray[Any]:
    """Return channels-last features as rows, shape (N, H, W * C)."""
    return _array(features.permute(0, 2, 3, 1).flatten(2))


def _pixels(features: Tensor, layout: torch.memory_format) -> NDArray[Any]:
    """Return features in a layout: channels-last as (N, H, W, C), else planes, (N * C, H, W)."""
    return _array(features.permute(0, 2, 3, 1) if layout == torch.channels_last else features.flatten(0, 1))


def _elements(features: Tensor) -> NDArray[Any]:
    """Return features as elements in the order of memory, from the first to the last, shape (M,)."""
    # The last element is that many steps behind the first. A part of joined features has gaps, and the
    # other part's elements in them.
    steps = ((size - 1) * stride for size, stride in zip(features.shape, features.stride(), strict=True))
    return _array(features.as_strided((sum(steps) + 1,), (1,)))


def _array(features: Tensor) -> NDArray[Any]:
    """Return features as an array that shares their memory, bfloat16 as its bits."""
    return (features.view(torch.uint16) if features.dtype == torch.bfloat16 else features).detach().numpy()
