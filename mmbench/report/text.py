"""Names and numbers as text that no terminal, table, spreadsheet or page misreads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from mmbench.analysis.rows import NO_BUDGET

NOT_LEARNED = NO_BUDGET
NOT_THERE = "…"
UNDEFINED = "undefined"
ANY_BUDGET = "any"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


def plain(text: str) -> str:
    """Return text on one line, without control characters and what turns the direction of writing."""
    return _CONTROL.sub(" ", text).strip()


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits; ``–`` for NaN."""
    return NOT_LEARNED if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """Return a number with its sign and three digits; ``–`` for NaN."""
    return NOT_LEARNED if math.isnan(value) else f"{value:+.3f}"


def cell_texts(values: Iterable[object]) -> list[str]:
    """Return the values of a frame's row as text; ``–`` for what is missing."""
    return [
        NOT_LEARNED
        if value is None or value != value
        else number(value)
        if isinstance(value, float)
        else plain(str(value))
        for value in values
    ]
