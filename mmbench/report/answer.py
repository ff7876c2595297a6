"""The answer in words: who is better, equivalent or undecided, and what would settle the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmbench.analysis.primary import settled
from mmbench.protocol.metrics import METRICS
from mmbench.report.text import NOT_LEARNED, plain, signed
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.analysis.analysis import Analysis
    from mmbench.analysis.pairing import Answer, Answers
    from mmbench.analysis.records import Primary
    from mmbench.analysis.rows import Column

ORDER = ("better", "equivalent", "undecided", "worse")
HOUR = 3600.0


def summary_lines(analysis: Analysis) -> list[str]:
    """Return what a report says of its primary question, the most important first."""
    records = analysis.records.primary
    if not records:
        return []
    protocol, facts = analysis.protocol, analysis.facts
    done = [record for record in records if record.verdict != "undecided"]
    over = plural(len(protocol.budgets.combinations()), "label budget")
    head = (
        f"Against {plain(protocol.reference_label)}, over {over} and {plural(facts.seeds, 'seed')}: "
        f"{len(done)} of {plural(len(records), 'comparison')} decided: the whole corrected interval "
        f"beyond, or within, {_margin(records)}."
    )
    return [head, *_by_column(records), *_settling(analysis), *_luck(records), *_doubts(analysis)]


def _margin(records: Sequence[Primary]) -> str:
    margins = sorted({record.margin for record in records})
    return f"±{margins[0]:g}" if len(margins) == 1 else "its metric's margin"


def _by_column(records: Sequence[Primary]) -> list[str]:
    by_column: dict[Column, list[Primary]] = {}
    for record in records:
        by_column.setdefault(record.column, []).append(record)
    found = []
    for column, own in by_column.items():
        parts = []
        for verdict in ORDER:
            rows = [_named(record) for record in own if record.verdict == verdict]
            if rows:
                parts.append(f"{verdict} {', '.join(rows)}")
        where = f"{_titled(column.metric)}, {plain(column.domain)} ({column.scope})"
        found.append(f"{where}: {'; '.join(parts)}.")
    return found


def _titled(metric: str) -> str:
    title = METRICS[metric].title
    return f"{title[0].upper()}{title[1:]}"


def _named(record: Primary) -> str:
    own = record.difference
    doubt = ", hangs on collapsed runs" if record.hangs else ""
    if math.isnan(own.value):
        return f"{plain(record.row)} (undefined)"
    return f"{plain(record.row)} ({own.value:+.3f}{_interval(record)}{doubt})"


def _interval(record: Primary) -> str:
    """Return a blank and the interval; nothing where there is none, as with single trainings."""
    own = record.difference
    return f" [{own.low:+.3f}, {own.high:+.3f}]" if own.has_interval else ""


def _settling(analysis: Analysis) -> list[str]:
    """Say what one more hour would settle, from the time that the recorded runs took."""
    seeds = analysis.facts.seeds
    seconds = sum(run.seconds for run in analysis.runs if not math.isnan(run.seconds)) / seeds
    undecided = [record for record in analysis.records.primary if record.verdict == "undecided"]
    # A group-sequential run is not to be looked at between its looks.
    planned = analysis.protocol.sequential is not None
    if planned or not undecided or seconds <= 0 or analysis.protocol.trainings < 2:
        return []
    more = HOUR / seconds
    soon = settled(undecided, (seeds + more) / seeds)
    names = ", ".join(f"{plain(r.row)} in {r.column.heading} on {plain(r.column.domain)}" for r in soon)
    said = (
        f"about {len(soon)} of the {len(undecided)} undecided: {names}" if soon else "probably none of them"
    )
    count = f"{more:.1f}" if more < 10 else f"{more:.0f}"
    return [f"One more hour of one worker ({count} more seeds) would settle {said}."]


def _luck(records: Sequence[Primary]) -> list[str]:
    """Say what common random numbers saved, per metric."""
    by_metric: dict[str, list[Primary]] = {}
    for record in records:
        if not math.isnan(record.saved) and not record.difference.constant:
            by_metric.setdefault(record.column.heading, []).append(record)
    found = [
        f"{100 * max(0.0, sum(r.saved for r in own) / len(own)):.0f} % of the seeds in {heading} "
        f"(correlation between methods {sum(r.correlation for r in own) / len(own):.2f})"
        for heading, own in by_metric.items()
    ]
    return [f"Common random numbers saved {' and '.join(found)}."] if found else []


def _doubts(analysis: Analysis) -> list[str]:
    found = [f"Collapsed: {plain(run.text)}." for run in analysis.collapsed]
    improving = [one.text for one in analysis.convergence if one.improving]
    if improving:
        found.append(f"Still improving when training ended: {plain('; '.join(improving))}.")
    return found


def pair_sentence(record: Primary) -> str:
    """Return a primary comparison of two rows in words."""
    own, column = record.difference, record.column
    where = f"{_titled(column.metric)}, {plain(column.domain)} ({column.scope})"
    a, b = plain(record.row), plain(record.reference)
    interval = _interval(record)
    if record.verdict == "equivalent":
        said = f"{a} and {b} are equivalent: {own.value:+.3f}{interval}, within ±{record.margin:g}"
    elif record.verdict == "undecided":
        cause = f" ({record.reason})" if record.reason else ""
        said = f"undecided{cause}: {own.value:+.3f}{interval}"
    else:
        said = f"{a} is {record.verdict} than {b} by {abs(own.value):.3f}{interval}"
    return f"{where}: {said}."


def primary_texts(record: Primary) -> list[str]:
    """Return a comparison's entries: metric, domain, A, B, A - B, interval, verdict, single budgets."""
    own = record.difference
    single = (
        f"{one.budgets.text} {signed(one.difference.value)}{f' {one.verdict}' if one.verdict else ''}"
        for one in record.budgets
    )
    return [
        *(record.column.heading, record.column.domain, record.row, record.reference),
        signed(own.value),
        f"{signed(own.low)} to {signed(own.high)}" if own.has_interval else NOT_LEARNED,
        record.verdict,
        ", ".join(single),
    ]


def answer_notes(answers: Answers) -> list[str]:
    """Return what the numbers of a comparison are, one sentence each."""
    statistics, records = answers.protocol.statistics, answers.primary
    size = records[0].family if records else 0
    return [
        f"A verdict is on all label budgets together; its interval is corrected over the {size} primary "
        f"comparisons that could be asked for (Holm). What counts is where it lies: beyond or within "
        f"±{statistics.equivalence:g}.",
        *answers.notes,
    ]


def detail_notes(answers: Sequence[Answer]) -> list[str]:
    """Return what the numbers of the details are, one sentence each."""
    if not answers:
        return []
    families = sorted({one.comparison.family for one in answers})
    sizes = f"{families[0]} to {families[-1]}" if len(families) > 1 else str(families[0])
    trainings = sorted({one.comparison.difference.trainings for one in answers})
    pairs = f"{trainings[0]} to {trainings[-1]}" if len(trainings) > 1 else str(trainings[0])
    return [
        "Single budgets and other metrics are exploratory and have no verdict.",
        "p: t test over trainings and patients, dual to the interval. p Holm: corrected over the "
        f"{sizes} comparisons of one metric, all rows, domains and budgets. p ranks: exact signed-rank test "
        f"over {pairs} pairs of trainings.",
        *(_by_training(one) for one in answers if one.case_tests.p),
    ]


def _by_training(answer: Answer) -> str:
    test, p = answer.comparison, answer.case_tests.p
    where = f"{answer.case_tests.name}, {test.column.metric} on {test.column.domain} at {test.budgets.text}"
    known = [value for value in p if not math.isnan(value)]
    if not known:
        return f"{where}, each pair of trainings by itself: undefined."
    small = sum(value < answer.protocol.statistics.alpha for value in known)
    return (
        f"{where}, each pair of trainings by itself: {small} of {len(known)} differ (p from "
        f"{min(known):.2g} to {max(known):.2g})."
    )
