"""The marks that say what a test found."""

from __future__ import annotations

from mmbench.analysis.records import CellEstimate

BETTER, WORSE, EQUIVALENT, SIGNIFICANT, BELOW_TRIVIAL = "▲", "▼", "≈", "†", "°"
TRANSDUCTIVE = "‡"
"""Behind a row's name: its method saw unlabelled images of domains that it is tested on."""


def marks_of(record: CellEstimate, alpha: float) -> str:
    """Return the marks of an estimate.

    Parameters
    ----------
    record : CellEstimate
        The estimate with its comparison.
    alpha : float
        Significance level.
    """
    found, against = "", record.against
    if against is not None:
        words = {"better": BETTER, "worse": WORSE, "equivalent": EQUIVALENT}
        found = words.get(against.verdict or "", "")
        if against.verdict is None and against.p_holm < alpha:
            found += SIGNIFICANT
    return found + (BELOW_TRIVIAL if record.clears_trivial is False else "")
