"""The looks of a group-sequential run in words."""

from __future__ import annotations

from mmbench.protocol.metrics import METRICS
from mmbench.report.text import plain
from mmbench.store.looks import Looks, Question


def look_lines(looks: Looks) -> list[str]:
    """Return what the last look found, and what comes next."""
    look = looks.looks[-1]
    counts = f"{len(looks.decided)} of {looks.family} decided"
    given_up = sum(len(one.futile) for one in looks.looks)
    futile = f", {given_up} given up" if given_up else ""
    following = looks.next_seeds
    after = f"; next look after {following} seeds" if following is not None else "; the last one"
    head = (
        f"look {len(looks.looks)} of {len(looks.schedule)}, {look.seeds} seeds: {counts}{futile}, "
        f"{len(look.open)} open{after} ({100 * look.spent:.2g} % of the error spent)"
    )
    fallen = [
        f"  {plain(one.row)} {one.verdict}  {_where(one)}  {one.difference:+.3f} "
        f"[{one.low:+.3f}, {one.high:+.3f}]"
        for one in look.decided
    ]
    return [head, *fallen]


def open_questions(looks: Looks) -> list[str]:
    """Return what is still open, one comparison each."""
    return [f"{plain(one.row)}  {_where(one)}" for one in (looks.looks[-1].open if looks.looks else ())]


def _where(question: Question) -> str:
    return f"{METRICS[question.metric].heading} on {plain(question.domain)}"
