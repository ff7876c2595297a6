"""bfloat16 in compiled loops: NumPy has no such type, so arrays hold its bits as uint16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, overload


def number(stored: Any) -> Any:
    """Return the number that an element of an array stands for: the element, or bfloat16's as float32."""
    raise NotImplementedError("only in compiled code")


def rounded(value: Any, array: Any) -> Any:
    """Return a number as an array stores it: as it is, or to the nearest bfloat16 (ties to even)."""
    raise NotImplementedError("only in compiled code")


@intrinsic
def _as_float(typing: Any, bits: Any) -> Any:
    return types.float32(types.uint32), _bitcast


@intrinsic
def _as_bits(typing: Any, value: Any) -> Any:
    return types.uint32(types.float32), _bitcast


def _bitcast(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


@overload(number, strict=False)
def _number(stored: Any) -> Callable[..., Any]:
    if stored == types.uint16:
        return lambda stored: _as_float(np.uint32(stored) << np.uint32(16))  # type: ignore[call-arg]
    return lambda stored: stored


@overload(rounded, strict=False)
def _rounded(value: Any, array: Any) -> Callable[..., Any]:
    if array.dtype == types.uint16:
        return _nearest
    return lambda value, array: value


def _nearest(value: Any, array: Any) -> Any:
    bits: Any = _as_bits(value)  # type: ignore[call-arg]
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16((bits + half) >> np.uint32(16))
