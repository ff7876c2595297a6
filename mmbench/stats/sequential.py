"""Looking several times at growing data without being wrong more often.

A design of K looks at shares t_1 < ... < t_K = 1 of all the seeds spends its error bit by bit (Lan and DeMets
1983, doi:10.1093/biomet/70.3.659): by look k

    f(t) = alpha t^1.5,

of the power family of Kim and DeMets (1987, doi:10.1093/biomet/74.1.149), between a spending in proportion
(exponent 1) and O'Brien and Fleming's (about 3). What differs between patients does not shrink with more
seeds, so early looks know more than their share of the seeds says, and O'Brien and Fleming's boundary would
wait for seeds that add little. The critical values follow one after the other: with normal increments, the
chance to cross at look k what was not crossed before must be f(t_k) - f(t_(k-1)) (Armitage, McPherson and
Rowe 1969). Intervals at each look's nominal level cover the truth at all looks together (repeated confidence
intervals, Jennison and Turnbull 1989), whatever verdict is read off them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

EXPONENT = 1.5
"""Of the error spent. ``python -m benchmarks.validity`` shows what it costs in power and saves in seeds."""
POINTS = 401
"""Of the grid that densities are integrated on."""


def schedule(first: int, most: int) -> list[int]:
    """Return after how many seeds to look: each time about two fifths more, from ``first`` to ``most``."""
    found = [min(first, most)]
    while found[-1] < most:
        found.append(min(most, math.ceil(1.4 * found[-1])))
    if len(found) > 2 and found[-1] - found[-2] < 0.2 * found[-2]:
        del found[-2]  # two looks at nearly the same data
    return found


def spent(share: float, alpha: float) -> float:
    """Return how much of a two-sided error is spent by a share of the seeds, in (0, 1]."""
    return alpha * math.pow(share, EXPONENT)


def nominal_level(looks: Sequence[int], number: int, alpha: float) -> float:
    """Return the two-sided level of the intervals at a look.

    Parameters
    ----------
    looks : sequence of int
        Seeds at every look of the design.
    number : int
        Which look, from 0.
    alpha : float
        Two-sided, over all looks.
    """
    return _nominal_levels(tuple(looks), alpha)[number]


@lru_cache(maxsize=4096)
def _nominal_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    from scipy import optimize, special

    shares = np.array(looks) / looks[-1]
    # The score process: S_k ~ N(0, t_k) with independent increments; weights of what goes on, on a grid.
    grid, weights = np.zeros(1), np.ones(1)
    found, before, spent_before = list[float](), 0.0, 0.0
    for share in map(float, shares):
        step, wanted = math.sqrt(share - before), spent(share, alpha) - spent_before
        args = (grid, weights, math.sqrt(share), step, wanted)
        limit = float(optimize.brentq(_excess, 0.0, 40.0, args=args, xtol=1e-9))
        found.append(float(2 * special.ndtr(-limit)))
        points = np.linspace(-1, 1, POINTS) * limit * math.sqrt(share)
        moved = np.exp(-(((points[:, None] - grid) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        width = np.full(POINTS, points[1] - points[0])
        width[[0, -1]] /= 2  # the trapezoidal rule
        grid, weights = points, (moved @ weights) * width
        before, spent_before = share, spent(share, alpha)
    return tuple(found)


def _excess(
    limit: float, grid: np.ndarray, weights: np.ndarray, scale: float, step: float, wanted: float
) -> float:
    """Return the logarithm of the chance to cross a limit now over the chance that is wanted."""
    from scipy import special

    edge = limit * scale
    beyond = special.ndtr((grid - edge) / step) + special.ndtr((-edge - grid) / step)
    return math.log(max(float((beyond * weights).sum()), 1e-300) / wanted)
