"""Compiled loops over features, for what PyTorch does in several passes over memory.

A step's convolutions run near the machine's matrix rate; what lies between them waits for memory, and
costs in proportion to how often features are read and written. Arrays are contiguous and hold float32,
float64, or bfloat16 as uint16; the arithmetic is in float32 or float64.

Numba caches compiled code beside this file, or in the user's cache where that cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

Array = NDArray[Any]
Dropout = tuple[Array, int, float]
Function = TypeVar("Function")


def compiled(*liberties: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles a loop when it is first used.

    Parameters
    ----------
    *liberties : str
        What LLVM's fast-math flags allow beside fused multiplication and addition, such as ``reassoc``.
        Infinities and NaN stay what they are.
    """
    settings: Any = {"error_model": "numpy", "fastmath": {"contract", *liberties}, "nogil": True}

    def decorate(function: Function) -> Function:
        try:
            return numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # there is no place to cache it
            return numba.njit(**settings)(function)

    return decorate


def number(stored: Any) -> Any:
    """Return the number that an element of an array stands for: the element, or float32 of a bfloat16."""
    raise NotImplementedError("only in compiled code")


def rounded(value: Any, array: Any) -> Any:
    """Return a number as an array stores it: unchanged, or as the nearest bfloat16 (ties to even)."""
    raise NotImplementedError("only in compiled code")


@intrinsic
def _as_float(typing: Any, bits: Any) -> Any:
    return numba.types.float32(numba.types.uint32), _bitcast


@intrinsic
def _as_bits(typing: Any, value: Any) -> Any:
    return numba.types.uint32(numba.types.float32), _bitcast


def _bitcast(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


@overload(number, strict=False)
def _number(stored: Any) -> Callable[..., Any]:
    if stored == numba.types.uint16:
        # bfloat16 is the upper half of a float32: sign, exponent and the first 7 bits of the fraction.
        return lambda stored: _as_float(np.uint32(stored) << np.uint32(16))  # type: ignore[call-arg]
    return lambda stored: stored


@overload(rounded, strict=False)
def _rounded(value: Any, array: Any) -> Callable[..., Any]:
    if array.dtype == numba.types.uint16:
        return _nearest
    return lambda value, array: value


def _nearest(value: Any, array: Any) -> Any:
    # Cutting the lower half off rounds down; adding just under half of the last bit kept carries into it
    # above the middle, and adding that bit itself lets a tie carry where it is odd.
    bits: Any = _as_bits(value)  # type: ignore[call-arg]
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16((bits + half) >> np.uint32(16))


@compiled()
def drop(features: Array, random: Array, out: Array, threshold: int, scale: float) -> None:
    """Set elements to zero whose random byte is below the threshold, and scale the rest.

    Parameters
    ----------
    features, out : ndarray
        Shape (M,); ``out`` is filled.
    random : ndarray of uint8
        Shape (M,).
    threshold : int
        In [0, 256).
    scale : float
        Of the type that the arithmetic is in.
    """
    none = scale * 0  # of the same type: with another, the loop would count in float64
    for i in range(features.size):
        out[i] = rounded(number(features[i]) * (scale if random[i] >= threshold else none), out)


@compiled()
def normalise(
    features: Array,
    activated: Array,
    means: Array,
    scales: Array,
    slope: float,
    epsilon: float,
    dropout: Dropout,
) -> None:
    """Normalise each channel of each image, then LeakyReLU, then dropout.

    Parameters
    ----------
    features : ndarray
        Shape (N, H, W * C), channels-last.
    activated : ndarray
        Same shape, filled.
    means, scales : ndarray
        Shape (N, C), filled: the means, and 1 / sqrt(variance + epsilon).
    slope, epsilon : float
        Of the type of ``means``.
    dropout : (ndarray, int, float)
        What :func:`drop` takes, the bytes of shape (N, H, W * C), or (0, 0, 0) for none.
    """
    random, threshold, boost = dropout
    images, height, length = features.shape
    kept = np.empty(length, activated.dtype)
    mean, scale, shift, total, square = np.empty((5, length), means.dtype)
    for n in range(images):
        # Mean and variance in one pass over memory (Chan, Golub and LeVeque 1983). For each column of H
        # pixels and a shift s near its mean, with d = x - s:
        #     column mean = s + sum(d) / H,    M2 = sum((x - column mean)^2) = sum(d^2) - sum(d)^2 / H.
        # The subtraction cancels digits only as far as s is off, so s is the average of three pixels.
        first, middle, last = features[n, 0], features[n, height // 2], features[n, height - 1]
        for i in range(length):
            shift[i] = (number(first[i]) + number(middle[i]) + number(last[i])) / 3
        total[:], square[:] = 0, 0
        for y in range(height):
            row = features[n, y]
            for i in range(length):
                deviation = number(row[i]) - shift[i]
                total[i] += deviation
                square[i] += deviation * deviation
        for i in range(length):
            offset = total[i] / height
            square[i] -= offset * total[i]
            total[i] = shift[i] + offset
        _average(total, 1, means[n])
        _repeat(means[n], mean)
        # A channel's columns are then combined: sum((x - mean)^2) = sum over columns of
        #     M2 + H * (column mean - mean)^2.
        for i in range(length):
            deviation = total[i] - mean[i]
            square[i] += height * deviation * deviation
        _average(square, height, scales[n])
        scales[n] = 1 / np.sqrt(scales[n] + epsilon)
        _repeat(scales[n], scale)
        for y in range(height):
            row = features[n, y]
            out = kept if random.size else activated[n, y]
            for i in range(length):
                value = (number(row[i]) - mean[i]) * scale[i]
                out[i] = rounded(value if value > 0 else slope * value, out)
            if random.size:
                drop(out, random[n, y], activated[n, y], threshold, boost)


@compiled()
def normalise_backward(
    given: Array,
    features: Array,
    gradient: Array,
    means: Array,
    scales: Array,
    slope: float,
    dropout: Dropout,
) -> None:
    """Fill the gradient by the features of :func:`normalise`, from that by its result.

    Parameters
    ----------
    given, features, gradient : ndarray
        Shape (N, H, W * C); ``gradient`` is filled.
    means, scales : ndarray
        Shape (N, C), as :func:`normalise` left them.
    slope : float
        Of the type of ``means``.
    dropout
        As given to :func:`normalise`.
    """
    # With d = x - mean, s = 1 / sqrt(variance + epsilon), y = d * s, and g the gradient by y, averages being
    # over the channel's pixels, of which mean and variance are functions, too:
    #     gradient by x = s * (g - average(g) - y * average(g * y)) = s * (g - level - d * tilt),
    #     level = average(g),    tilt = s^2 * average(g * d).
    # g is computed in both passes, since storing it would cost another one over memory.
    images, height, length = features.shape
    kept = np.empty(length, given.dtype)
    mean, scale, level, tilt = np.empty((4, length), means.dtype)
    levels, tilts = np.empty((2, means.shape[1]), means.dtype)
    for n in range(images):
        _repeat(means[n], mean)
        _repeat(scales[n], scale)
        level[:], tilt[:] = 0, 0
        for y in range(height):
            row, above = features[n, y], _before_dropout(given, n, y, dropout, kept)
            for i in range(length):
                deviation = number(row[i]) - mean[i]
                inner = _before_activation(number(above[i]), deviation, slope)
                level[i] += inner
                tilt[i] += inner * deviation
        _average(level, height, levels)
        _average(tilt, height, tilts)
        _repeat(levels, level)
        _repeat(tilts * scales[n] * scales[n], tilt)
        for y in range(height):
            row, above, out = features[n, y], _before_dropout(given, n, y, dropout, kept), gradient[n, y]
            for i in range(length):
                deviation = number(row[i]) - mean[i]
                inner = _before_activation(number(above[i]), deviation, slope)
                out[i] = rounded((inner - level[i] - deviation * tilt[i]) * scale[i], out)


@numba.njit(inline="always")
def _before_dropout(given: Array, n: int, y: int, dropout: Dropout, kept: Array) -> Array:
    """Return a row's gradient by what was dropped; ``kept`` is filled where there was dropout."""
    # Dropout multiplies each element by 0 or the scale, and so does its gradient, by the same bytes.
    random, threshold, boost = dropout
    row = given[n, y]
    if random.size:
        drop(row, random[n, y], kept, threshold, boost)
        row = kept
    return row


@numba.njit(inline="always")
def _before_activation(given: Any, deviation: Any, slope: Any) -> Any:
    # y has the sign of the deviation, since the scale is positive.
    return given if deviation > 0 else slope * given


@numba.njit(inline="never")
def _average(sums: Array, height: int, averages: Array) -> None:
    """Average sums of ``height`` values, (W * C,), per channel, (C,)."""
    channels = averages.size
    # In float64: its rounding adds nothing to that of the sums.
    totals = np.zeros(channels)
    for start in range(0, sums.size, channels):
        part = sums[start : start + channels]
        for c in range(channels):
            totals[c] += part[c]
    averages[:] = totals / (height * (sums.size // channels))


@numba.njit(inline="never")
def _repeat(values: Array, row: Array) -> None:
    for i in range(0, row.size, values.size):
        row[i : i + values.size] = values


@compiled()
def halve(features: Array, halved: Array) -> None:
    """Take the maximum of each 2x2 square; NaN counts as the largest.

    Parameters
    ----------
    features : ndarray
        Shape (N, H, W, C), channels-last, or planes, (N * C, H, W).
    halved : ndarray
        Shape (N, H // 2, W // 2, C) or (N * C, H // 2, W // 2), filled.
    """
    for n in range(halved.shape[0]):
        for y in range(halved.shape[1]):
            upper, lower, out = features[n, 2 * y], features[n, 2 * y + 1], halved[n, y]
            if features.ndim == 3:
                for x in range(halved.shape[2]):
                    above = _larger(upper[2 * x], upper[2 * x + 1])
                    out[x] = _larger(above, _larger(lower[2 * x], lower[2 * x + 1]))
            else:
                for x in range(halved.shape[2]):
                    for c in range(halved.shape[3]):
                        above = _larger(upper[2 * x, c], upper[2 * x + 1, c])
                        out[x, c] = _larger(above, _larger(lower[2 * x, c], lower[2 * x + 1, c]))


@numba.njit(inline="always")
def _larger(one: Any, other: Any) -> Any:
    # Only NaN differs from itself. One that is held stays, since nothing compares as larger than it.
    first, second = number(one), number(other)
    return other if (second > first) | (second != second) else one


@compiled()
def find_largest(features: Array, halved: Array, places: Array) -> None:
    """Find which element of each square holds the maximum first: 0 to 3, in reading order.

    Parameters
    ----------
    features, halved : ndarray
        As :func:`halve` left them.
    places : ndarray of uint8
        Shape of ``halved``, filled.
    """
    for n in range(halved.shape[0]):
        for y in range(halved.shape[1]):
            upper, lower, largest = features[n, 2 * y], features[n, 2 * y + 1], halved[n, y]
            place = places[n, y]
            if features.ndim == 3:
                for x in range(halved.shape[2]):
                    place[x] = _place(upper[2 * x], upper[2 * x + 1], lower[2 * x], largest[x])
            else:
                for x in range(halved.shape[2]):
                    for c in range(halved.shape[3]):
                        place[x, c] = _place(
                            upper[2 * x, c], upper[2 * x + 1, c], lower[2 * x, c], largest[x, c]
                        )


@numba.njit(inline="always")
def _place(first: Any, second: Any, third: Any, largest: Any) -> Any:
    # How many precede the first that equals the maximum; 3 if the first three differ, whatever the fourth.
    # Without branches, so that the compiler can handle many elements at a time.
    after_first = np.uint8(number(first) != number(largest))
    after_second = after_first & np.uint8(number(second) != number(largest))
    return after_first + after_second + (after_second & np.uint8(number(third) != number(largest)))


@compiled()
def give_largest(given: Array, places: Array, gradient: Array) -> None:
    """Give each square's gradient to its place, and zero to the others: the gradient of :func:`halve`.

    Parameters
    ----------
    given, places : ndarray
        Shape (N, H // 2, W // 2, C) or (N * C, H // 2, W // 2).
    gradient : ndarray
        Shape (N, H, W, C) or (N * C, H, W), filled where squares are.
    """
    # A place is 2 * row + column within the square. Squares do not overlap, so nothing is added up.
    zero = given.dtype.type(0)
    for n in range(given.shape[0]):
        for y in range(given.shape[1]):
            if given.ndim == 3:
                for x in range(given.shape[2]):
                    gradient[n, 2 * y, 2 * x] = gradient[n, 2 * y, 2 * x + 1] = zero
                    gradient[n, 2 * y + 1, 2 * x] = gradient[n, 2 * y + 1, 2 * x + 1] = zero
                    place = places[n, y, x]
                    gradient[n, 2 * y + (place >> 1), 2 * x + (place & 1)] = given[n, y, x]
            else:
                above, place = given[n, y], places[n, y]
                for low in range(2):
                    out = gradient[n, 2 * y + low]
                    for x in range(given.shape[2]):
                        for right in range(2):
                            for c in range(given.shape[3]):
                                here = place[x, c] == 2 * low + right
                                out[2 * x + right, c] = above[x, c] if here else zero


@compiled()
def resize_backward(
    given: Array, strides: tuple[int, int, int], size: tuple[int, int], gradient: Array, zero: float
) -> None:
    """Fill the gradient of a bilinear interpolation that keeps corners in their places.

    Parameters
    ----------
    given : ndarray
        Shape (M,): the elements of (N, H', W', C) in the order of memory; channels are adjacent.
    strides : (int, int, int)
        Elements from one image, row and pixel of ``given`` to the next.
    size : (int, int)
        H' and W'.
    gradient : ndarray
        Shape (N, H, W, C), filled.
    zero : float
        0, of the type that the arithmetic is in.
    """
    # A result between two points is (1 - far) * left + far * right, along x and then along y. The gradient
    # is the transpose: each result's is added to both points by these weights, along x and then along y.
    images, height, width, channels = gradient.shape
    # With a row and a pixel to spare: where there is only one, its next neighbour is given nothing.
    sums = np.full((height + 1, width * channels), zero)
    row = np.full((width + 1) * channels, zero)
    for n in range(images):
        sums[:] = 0
        for y in range(size[0]):
            row[:] = 0
            for x in range(size[1]):
                start = n * strides[0] + y * strides[1] + x * strides[2]
                above = given[start : start + channels]
                place, far = _between(x, size[1], width, zero)
                near, place = 1 + zero - far, place * channels
                left = row[place : place + channels]
                right = row[place + channels : place + 2 * channels]
                for c in range(channels):
                    value = number(above[c])
                    left[c] += near * value
                    right[c] += far * value
            place, far = _between(y, size[0], height, zero)
            near, upper, lower = 1 + zero - far, sums[place], sums[place + 1]
            for i in range(width * channels):
                upper[i] += near * row[i]
                lower[i] += far * row[i]
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    gradient[n, y, x, c] = rounded(sums[y, x * channels + c], gradient)


@numba.njit(inline="always")
def _between(index: int, after: int, before: int, zero: Any) -> Any:
    """Return the point before interpolation that is left of one after it, and how far off that is."""
    # With align_corners the outermost points coincide: index i of n' lies at i * (n - 1) / (n' - 1) of n.
    position = index * ((before - 1) / max(after - 1, 1))
    place = min(int(position), max(before - 2, 0))
    return place, type(zero)(position - place)
