"""Intervals of a printed number: what can be said without the cases behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Two ends; NaN where there is none."""

    low: float
    high: float


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Parameters
    ----------
    successes : float
        May be a fraction, where only a rounded proportion is known.
    n : int
        Trials.
    confidence : float
        In (0, 1).
    """
    from scipy import stats

    if n <= 0:
        return Interval(math.nan, math.nan)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def logit_interval(value: float, half: float) -> Interval:
    """Return an interval of a score in (0, 1) from its half-width, worked out on the logit scale.

    Near 0 and 1 a symmetric interval leaves the range and covers too little; by the delta method a
    half-width h of p is h / (p (1 - p)) of logit p (Pepe 2003, section 5.2.4).

    Parameters
    ----------
    value : float
        In (0, 1).
    half : float
        Critical value times standard error.
    """
    from scipy import special

    centre, reach = float(special.logit(value)), half / (value * (1 - value))
    return Interval(float(special.expit(centre - reach)), float(special.expit(centre + reach)))
