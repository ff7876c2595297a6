"""Layers of the paper's network, with faster implementations for the CPU.

On a CPU features are stored channels-last where they fill vector registers with channels, since PyTorch's
convolutions are faster that way. Layers of fewer channels are compiled here (:mod:`mmbench.networks.narrow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmbench.networks import kernels, narrow

EPSILON = 1e-5
LAST = torch.channels_last
VECTOR = 16
"""Channels, in float32, of the widest vector of a CPU: multiples of them are faster channels-last."""


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

    def draw(self, features: Tensor, channels: int | None = None) -> kernels.Dropout:
        """Return a random byte per element (none in evaluation), from which on one is kept, and the scale.

        ``channels`` says how many the elements have, where it is not as many as the features.
        """
        # A byte is below t with probability t / 256, so 1 - t / 256 is kept, and the scale is its inverse.
        # Bytes are drawn eight at a time, as 64-bit words from the whole range.
        count = features.numel() // features.shape[1] * (channels or features.shape[1])
        count = count if self.training and self.rate > 0 else 0
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


def convolve(features: Tensor, convolution: nn.Conv2d, activation: NormalisedLeakyReLU) -> Tensor:
    """Return features after a 3x3 convolution (padded by 1), normalisation, LeakyReLU and dropout.

    On a CPU a layer of fewer than 16 output channels is one kernel, in float32, and a layer of a multiple of
    16 computes channels-last, whatever layout it is given.

    Parameters
    ----------
    features : Tensor
        Shape (N, I, H, W).
    convolution : Conv2d
        From I to O channels, with a bias.
    activation : NormalisedLeakyReLU
        What follows.

    Returns
    -------
    Tensor
        Shape (N, O, H, W).
    """
    channels = convolution.out_channels
    if _by_hand(features) and channels % VECTOR == 0:
        wide = channels_last if features.shape[1] == 1 else partial(Tensor.contiguous, memory_format=LAST)
        features = wide(features)
    elif _by_hand(features) and channels < VECTOR and _fits(features, convolution):
        dropout = activation.dropout.draw(features, channels)
        weights = convolution.weight, convolution.bias
        result: Tensor = _NarrowLayer.apply(
            features, *weights, activation.slope, dropout, torch.is_grad_enabled()
        )
        return result
    activated: Tensor = activation(convolution(features))
    return activated


def _fits(features: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether the kernel for few channels applies: float32 throughout, as many channels as are expected."""
    given, wanted = (features.dtype, features.shape[1]), (torch.float32, convolution.in_channels)
    return given == wanted and convolution.weight.dtype == torch.float32 and not _mixed_precision()


def _mixed_precision() -> bool:
    return torch.is_autocast_enabled("cpu")


class _NarrowLayer(torch.autograd.Function):
    """Convolution, normalisation, LeakyReLU and dropout of few channels on a CPU, in one kernel."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        slope: float,
        dropout: kernels.Dropout,
        training: bool,
    ) -> Tensor:
        features = features.contiguous()
        shape = len(features), len(weight), *features.shape[2:]
        planes = *shape[:2], shape[2] * shape[3]
        activated = torch.empty(shape)
        random, *rest = dropout
        ctx.dropout = random.reshape(planes if random.size else (0, 0, 0)), *rest
        ctx.normalised = np.empty(planes if training else (1, *planes[1:]), np.float32)
        ctx.scales, ctx.slope = np.empty(shape[:2], np.float32), _number(slope, features)
        ctx.save_for_backward(features, weight, bias)
        given = _array(features), _array(weight.flatten(2)), _array(bias), ctx.dropout
        made = ctx.normalised, ctx.scales, _array(activated.flatten(2))
        narrow.forward(*given, ctx.slope, _number(EPSILON, features), *made)
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, wanted = ctx.saved_tensors, ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            # A gradient of the gradient is wanted, as in _Activation.
            features, weight, bias = inputs
            again = _instance_norm(functional.conv2d(features, weight, bias, padding=1))
            again = functional.leaky_relu(again, float(ctx.slope))
            random, *rest = ctx.dropout
            if random.size:
                again = _Dropout.apply(again, (random.reshape(-1), *rest), torch.contiguous_format)
            asked = [each for each, needed in zip(inputs, wanted, strict=True) if needed]
            second = iter(torch.autograd.grad(again, asked, gradient, create_graph=True))
            return *(next(second) if needed else None for needed in wanted), None, None, None
        features, weight = _array(inputs[0]), _array(inputs[1].flatten(2))
        given = _array(gradient.contiguous().flatten(2)), features, weight, ctx.dropout
        made = [
            torch.empty(each.shape if needed else (0,) * each.ndim)
            for each, needed in zip(inputs, wanted, strict=True)
        ]
        by_features, by_weight, by_bias = made
        filled = _array(by_features), _array(by_weight.flatten(2)), _array(by_bias)
        narrow.backward(*given, ctx.slope, ctx.normalised, ctx.scales, *filled)
        found = (each if needed else None for each, needed in zip(made, wanted, strict=True))
        return *found, None, None, None


def to_mask(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Return features (N, C, H, W) after a 1x1 convolution to a mask's logits for each structure.

    To one channel on a CPU it is a sum of planes or a matrix product, since convolutions to one are slow.
    """
    if not _by_hand(features) or convolution.bias is None or convolution.out_channels > 1:
        mask: Tensor = convolution(features)
        return mask
    weight, bias = convolution.weight, convolution.bias
    if _layout(features) == torch.channels_last:
        return functional.linear(features.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
    return (features * weight).sum(1, keepdim=True) + bias[:, None, None]


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
    if not _by_hand(features):
        return _interpolate(features, size)
    if _layout(features) == torch.channels_last:
        resized: Tensor = _Resize.apply(features, size)
        return resized
    if features.dtype == torch.bfloat16 or _mixed_precision():
        return _interpolate(features, size)
    # Planes are interpolated by two matrix products, whose gradients are matrix products, too.
    rows, columns = (
        _interpolation(before, after, features.dtype)
        for before, after in zip(features.shape[-2:], size, strict=True)
    )
    return rows @ (features @ columns.T)


@lru_cache(maxsize=64)
def _interpolation(before: int, after: int, kind: torch.dtype) -> Tensor:
    """Return the matrix, (after, before), that interpolates a line of points, corners in their places."""
    points = torch.eye(before, dtype=torch.float64)[None]
    moved = functional.interpolate(points, after, mode="linear", align_corners=True)
    return moved[0].T.to(kind).contiguous()


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
