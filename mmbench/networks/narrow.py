"""Compiled 3x3 convolutions of few channels, each with the normalisation and activation behind it.

With fewer channels than a vector register has places, PyTorch's convolutions reach a tenth of the machine's
rate on a CPU. Here a register holds neighbouring pixels instead. One image's channels fit into the cache, so
an image passes through convolution, instance normalisation, LeakyReLU and dropout before the next is read.

Each channel is framed by zeros, one pixel wide, and read as one row of numbers: with rows of W + 2 pixels,
pixel (y, x) is number y (W + 2) + x, and each of the nine taps is the same row moved by a constant. So one
loop runs over a whole channel; the two numbers between two rows are computed and not used.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from mmbench.networks.kernels import Array, Dropout, compiled

TOGETHER = 4
"""Output channels that share each pixel read."""
CHUNK = 1024
"""Pixels whose sums stay in the fastest cache while the input channels are added up."""


@compiled("reassoc")
def forward(
    images: Array,
    weights: Array,
    bias: Array,
    dropout: Dropout,
    slope: float,
    epsilon: float,
    normalised: Array,
    scales: Array,
    activated: Array,
) -> None:
    """Convolve, normalise each channel of each image, then LeakyReLU, then dropout.

    Parameters
    ----------
    images : ndarray
        float32, shape (N, I, H, W).
    weights : ndarray
        float32, shape (O, I, 9).
    bias : ndarray
        float32, shape (O,).
    dropout : (ndarray, int, float)
        What :func:`mmbench.networks.kernels.drop` takes, the bytes of shape (N, O, H * W), or (0, 0, 0) for
        none.
    slope, epsilon : float
        float32.
    normalised : ndarray
        Shape (N, O, H * W), filled for :func:`backward`; (1, O, H * W) if there will be none.
    scales : ndarray
        Shape (N, O), filled: 1 / sqrt(variance + epsilon).
    activated : ndarray
        Shape (N, O, H * W), filled.
    """
    random, threshold, boost = dropout
    count, inputs, height, width = images.shape
    outputs, none = len(weights), np.float32(0)
    framed = np.zeros((inputs, height + 3, width + 2), np.float32)
    groups = _whole_groups(weights)
    start = np.zeros(len(groups), np.float32)
    start[:outputs] = bias
    sums = np.empty((len(groups), height, width + 2), np.float32)
    for n in range(count):
        _frame(images[n], framed)
        _convolve(framed, groups, start, sums)
        for o in range(outputs):
            values, out = normalised[n % len(normalised), o], activated[n, o]
            _unframe(sums[o], values)
            total = square = none
            for k in range(values.size):
                total += values[k]
            mean = total / np.float32(values.size)
            for k in range(values.size):
                square += (values[k] - mean) * (values[k] - mean)
            scale = np.float32(1) / np.sqrt(square / np.float32(values.size) + epsilon)
            scales[n, o] = scale
            if random.size:
                drawn = random[n, o]
                for k in range(values.size):
                    value = values[k] = (values[k] - mean) * scale
                    kept = boost if drawn[k] >= threshold else none
                    out[k] = (value if value > 0 else slope * value) * kept
            else:
                for k in range(values.size):
                    value = values[k] = (values[k] - mean) * scale
                    out[k] = value if value > 0 else slope * value


@compiled("reassoc")
def backward(
    given: Array,
    images: Array,
    weights: Array,
    dropout: Dropout,
    slope: float,
    normalised: Array,
    scales: Array,
    by_images: Array,
    by_weights: Array,
    by_bias: Array,
) -> None:
    """Fill the gradients of :func:`forward` by its images, weights and bias.

    Parameters
    ----------
    given : ndarray
        Gradient by ``activated``, shape (N, O, H * W).
    images, weights, dropout, slope, normalised, scales
        As :func:`forward` took and left them.
    by_images : ndarray
        Shape of ``images``, filled; (0, 0, 0, 0) if it is not wanted.
    by_weights, by_bias : ndarray
        Shapes of ``weights`` and of the bias, filled; (0, 0, 0) and (0,) if they are not wanted.
    """
    random, threshold, boost = dropout
    count, inputs, height, width = images.shape
    outputs, none = len(weights), np.float32(0)
    # One channel more where their number is odd: _correlate takes two at a time.
    inner = np.zeros((outputs + outputs % 2, height + 3, width + 2), np.float32)
    framed = np.zeros((inputs, height + 3, width + 2), np.float32)
    groups = _whole_groups(_turned(weights))
    start = np.zeros(len(groups), np.float32)
    sums = np.empty((len(groups), height, width + 2), np.float32)
    plane = np.empty(height * width, np.float32)
    by_weights[:] = 0
    by_bias[:] = 0
    for n in range(count):
        for o in range(outputs):
            # With y the normalised feature, s its scale, and g the gradient by y, averages being over the
            # channel's pixels: the gradient by the convolution is s (g - average(g) - y average(g y)).
            above, values = given[n, o], normalised[n, o]
            level = tilt = none
            if random.size:
                drawn = random[n, o]
                for k in range(values.size):
                    gradient = above[k] * (boost if drawn[k] >= threshold else none)
                    plane[k] = gradient if values[k] > 0 else slope * gradient
            else:
                for k in range(values.size):
                    plane[k] = above[k] if values[k] > 0 else slope * above[k]
            for k in range(values.size):
                level += plane[k]
                tilt += plane[k] * values[k]
            level /= np.float32(values.size)
            tilt /= np.float32(values.size)
            total, scale = none, scales[n, o]
            for k in range(values.size):
                plane[k] = scale * (plane[k] - level - values[k] * tilt)
                total += plane[k]
            _frame(plane.reshape(1, height, width), inner[o : o + 1])
            if by_bias.size:
                by_bias[o] += total
        if by_images.size:
            _convolve(inner[:outputs], groups, start, sums)
            for i in range(inputs):
                _unframe(sums[i], by_images[n, i].reshape(-1))
        if by_weights.size:
            _frame(images[n], framed)
            _correlate(framed, inner, by_weights)


@numba.njit(error_model="numpy")
def _frame(image: Array, framed: Array) -> None:
    """Copy an image, (I, H, W), into a frame of zeros, (I, H + 3, W + 2)."""
    for i in range(image.shape[0]):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                framed[i, y + 1, x + 1] = image[i, y, x]


@numba.njit(error_model="numpy")
def _unframe(sums: Array, plane: Array) -> None:
    """Copy the pixels of a channel, (H, W + 2), into a plane of (H * W,)."""
    pixels = plane.reshape(sums.shape[0], -1)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            pixels[y, x] = sums[y, x]


@numba.njit(error_model="numpy")
def _turned(weights: Array) -> Array:
    """Return the weights of the transposed convolution: inputs for outputs, taps in reverse."""
    turned = np.empty((weights.shape[1], weights.shape[0], 9), np.float32)
    for i in range(weights.shape[1]):
        for o in range(weights.shape[0]):
            turned[i, o] = weights[o, i, ::-1]
    return turned


@numba.njit(error_model="numpy")
def _whole_groups(weights: Array) -> Array:
    """Return weights with channels of zeros added, so that there are whole groups of output channels."""
    whole = np.zeros((-(-len(weights) // TOGETHER) * TOGETHER, *weights.shape[1:]), np.float32)
    whole[: len(weights)] = weights
    return whole


@numba.njit(fastmath={"contract", "reassoc"}, error_model="numpy")
def _convolve(framed: Array, weights: Array, bias: Array, out: Array) -> None:
    """Fill (O, H, W + 2) with the sums of bias and all taps of all input channels, (I, H + 3, W + 2)."""
    stride, length = out.shape[2], out.shape[1] * out.shape[2]
    sums, channels = out.reshape(-1, length), framed.reshape(len(framed), -1)
    for o in range(0, len(weights), TOGETHER):
        for begin in range(0, length, CHUNK):
            size = min(CHUNK, length - begin)
            first, second = sums[o, begin : begin + size], sums[o + 1, begin : begin + size]
            third, fourth = sums[o + 2, begin : begin + size], sums[o + 3, begin : begin + size]
            first[:], second[:], third[:], fourth[:] = bias[o], bias[o + 1], bias[o + 2], bias[o + 3]
            for i in range(len(channels)):
                a, b, c = _taps(weights[o, i]), _taps(weights[o + 1, i]), _taps(weights[o + 2, i])
                d, pixels = _taps(weights[o + 3, i]), channels[i, begin:]
                # Slices, since an index that could be negative would keep the loop from being vectorised.
                p, q, r = pixels[0:size], pixels[1 : 1 + size], pixels[2 : 2 + size]
                pixels = pixels[stride:]
                s, t, u = pixels[0:size], pixels[1 : 1 + size], pixels[2 : 2 + size]
                pixels = pixels[stride:]
                v, w, x = pixels[0:size], pixels[1 : 1 + size], pixels[2 : 2 + size]
                for k in range(size):
                    near = (p[k], q[k], r[k], s[k], t[k], u[k], v[k], w[k], x[k])
                    first[k] += _product(a, near)
                    second[k] += _product(b, near)
                    third[k] += _product(c, near)
                    fourth[k] += _product(d, near)


@numba.njit(inline="always")
def _taps(weights: Array) -> Any:
    w = weights
    return w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]


@numba.njit(inline="always")
def _product(w: Any, p: Any) -> Any:
    return (
        w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + w[3] * p[3] + w[4] * p[4]
        + w[5] * p[5] + w[6] * p[6] + w[7] * p[7] + w[8] * p[8]
    )  # fmt: skip


@numba.njit(fastmath={"contract", "reassoc"}, error_model="numpy")
def _correlate(framed: Array, gradient: Array, by_weights: Array) -> None:
    """Add to the gradient by each tap: the sum over pixels of what it read times the gradient there."""
    stride = framed.shape[2]
    length = (framed.shape[1] - 3) * stride
    channels, inner = framed.reshape(len(framed), -1), gradient.reshape(len(gradient), -1)
    zero = np.float32(0)
    outputs = len(by_weights)
    for i in range(len(channels)):
        pixels = channels[i]
        p, q, r = pixels[0:length], pixels[1 : 1 + length], pixels[2 : 2 + length]
        pixels = pixels[stride:]
        s, t, u = pixels[0:length], pixels[1 : 1 + length], pixels[2 : 2 + length]
        pixels = pixels[stride:]
        v, w, x = pixels[0:length], pixels[1 : 1 + length], pixels[2 : 2 + length]
        for o in range(0, outputs, 2):
            # The frame of the gradient is zero, so what lies between two rows adds nothing.
            one, two = (
                inner[o, stride + 1 : stride + 1 + length],
                inner[o + 1, stride + 1 : stride + 1 + length],
            )
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = zero
            b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = b8 = zero
            for k in range(length):
                g, h = one[k], two[k]
                a0 += g * p[k]
                a1 += g * q[k]
                a2 += g * r[k]
                a3 += g * s[k]
                a4 += g * t[k]
                a5 += g * u[k]
                a6 += g * v[k]
                a7 += g * w[k]
                a8 += g * x[k]
                b0 += h * p[k]
                b1 += h * q[k]
                b2 += h * r[k]
                b3 += h * s[k]
                b4 += h * t[k]
                b5 += h * u[k]
                b6 += h * v[k]
                b7 += h * w[k]
                b8 += h * x[k]
            _add(by_weights[o, i], (a0, a1, a2, a3, a4, a5, a6, a7, a8))
            if o + 1 < outputs:
                _add(by_weights[o + 1, i], (b0, b1, b2, b3, b4, b5, b6, b7, b8))


@numba.njit(inline="always")
def _add(sums: Array, values: Any) -> None:
    for tap in range(9):
        sums[tap] += values[tap]
