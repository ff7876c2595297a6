"""From an interval and a corrected p-value to one word."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["better", "equivalent", "worse", "undecided"]


def verdict(low: float, high: float, p_holm: float, margin: float, alpha: float = 0.05) -> Verdict:
    """Judge a difference against a region of practical equivalence (Kruschke 2018, Benavoli 2017).

    Parameters
    ----------
    low, high : float
        Ends of the interval of the difference, oriented so that positive is good; NaN where there is
        none.
    p_holm : float
        Of the hypothesis of no difference, corrected for its family.
    margin : float
        Differences in [-margin, margin] do not matter.
    alpha : float
        Significance level.

    Returns
    -------
    str
        ``better``: significant, and the whole interval is above the margin; ``worse``: mirrored;
        ``equivalent``: the whole interval is within the margin; else ``undecided``.
    """
    if low > margin and p_holm < alpha:
        return "better"
    if high < -margin and p_holm < alpha:
        return "worse"
    if -margin <= low and high <= margin:
        return "equivalent"
    return "undecided"
