"""Work on several processors, where there is enough of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mmbench.processors import usable_cpus

WORTH_IT = 100_000
"""Per-case scores from which starting processes takes less time than it saves."""
Answer = TypeVar("Answer")


def in_parallel(
    function: Callable[..., Answer], arguments: Sequence[tuple[Any, ...]], scores: int
) -> list[Answer]:
    """Call a function with each of several argument tuples and return the answers in order.

    Parameters
    ----------
    function : callable
        Importable; with its arguments it travels to another process.
    arguments : sequence of tuple
        One per call.
    scores : int
        How many per-case scores are worked on; below ``WORTH_IT`` everything runs in this process.
    """
    count = min(usable_cpus(), len(arguments))
    if scores < WORTH_IT or count < 2:
        return [function(*one) for one in arguments]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=count)(delayed(function)(*one) for one in arguments))
