"""From intervals to words, for all comparisons of a family at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmbench.stats.mixed import Estimate

Verdict = Literal["better", "equivalent", "worse", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What the interval of a difference says.

    Attributes
    ----------
    estimate : Estimate
        The difference, positive where it is good, with the interval that the verdict is read off.
    verdict : str
        ``better``: the whole interval is above the margin; ``worse``: below its negative; ``equivalent``:
        within both; else ``undecided``.
    level : float
        Two-sided level of the interval.
    p : float
        The family's error at which the verdict would just fall (Holm); NaN where there can be none.
    reason : str
        Why nothing can be decided, where that is not for want of precision; else empty.
    """

    estimate: Estimate
    verdict: Verdict
    level: float
    p: float
    reason: str = ""


def unchanged(level: float) -> float:
    """Return a level as it is: of a family that is looked at once."""
    return level


def decide(
    estimates: Sequence[Estimate],
    margins: Sequence[float],
    alpha: float,
    *,
    withheld: Sequence[str] = (),
    nominal: Callable[[float], float] = unchanged,
) -> list[Decision]:
    """Judge a family of differences against their regions of practical equivalence.

    A verdict holds where the interval of the difference lies on one side of a margin (Kruschke 2018,
    doi:10.1177/2515245918771304; equivalence is Schuirmann's two one-sided tests). With d the distance of
    the difference from the nearer margin, its p is the two-sided level at which the interval is d to either
    side. Holm's procedure (1979) steps these down, the smallest first, each against alpha over the number
    that is left. Each decided difference keeps the interval of its own step, and the others share that of
    the next, so that no interval contradicts its verdict. ``python -m benchmarks.validity`` counts in how
    many families a verdict is wrong.

    Parameters
    ----------
    estimates : sequence of Estimate
        Oriented so that positive is good; those without an interval count in the family, too.
    margins : sequence of float
        Differences in [-margin, margin] do not matter.
    alpha : float
        Of the family.
    withheld : sequence of str
        For each estimate why there must be no verdict, or an empty text.
    nominal : callable
        Maps a level to the one that is spent at this look, where there are several.

    Returns
    -------
    list of Decision
        In the order given.
    """
    total = len(estimates)
    reasons = [
        reason or _reason(one) for one, reason in zip(estimates, withheld or [""] * total, strict=True)
    ]
    values = [
        math.nan if reason else one.p_of(abs(abs(one.value) - margin))
        for one, margin, reason in zip(estimates, margins, reasons, strict=True)
    ]
    order = sorted(range(total), key=lambda place: (math.isnan(values[place]), values[place]))
    levels: dict[int, float] = {}
    for place in order:
        level = nominal(alpha / (total - len(levels)))
        if not values[place] < level:
            break
        levels[place] = level
    left = nominal(alpha / max(total - len(levels), 1))
    adjusted = _adjusted(values, order, total)
    return [
        _decision(
            one, margins[place], levels.get(place, left), place in levels, adjusted[place], reasons[place]
        )
        for place, one in enumerate(estimates)
    ]


def _reason(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "undefined"
    if estimate.patients < 2:
        return "one patient of a class says nothing of others"
    if not estimate.generalises:
        return "single trainings say nothing of another seed"
    if estimate.constant:
        return "the same in every case and training, so no spread can be estimated"
    return ""


def _adjusted(values: Sequence[float], order: Sequence[int], total: int) -> list[float]:
    """Return Holm's adjusted p-values; NaN where there is none."""
    found, largest = list(values), 0.0
    for step, place in enumerate(order):
        if not math.isnan(values[place]):
            largest = found[place] = min(1.0, max(largest, values[place] * (total - step)))
    return found


def _decision(
    estimate: Estimate, margin: float, level: float, decided: bool, p: float, reason: str
) -> Decision:
    shown = estimate.at(level) if estimate.has_interval else estimate
    word: Verdict = "undecided"
    if decided and abs(shown.value) <= margin:
        word = "equivalent"
    elif decided:
        word = "better" if shown.value > 0 else "worse"
    return Decision(shown, word, level, p, reason)
