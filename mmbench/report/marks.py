"""The main table with intervals and what its marks mean, whatever it is printed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmbench.protocol.vocabulary import Task
from mmbench.report.main_table import MAIN_METRICS, Column, Line
from mmbench.report.render import ANY_BUDGET, NOT_LEARNED, NOT_THERE, UNDEFINED

if TYPE_CHECKING:
    from mmbench.report.analysis import Analysis

BETTER, WORSE, EQUIVALENT, SIGNIFICANT, BELOW_TRIVIAL = "▲", "▼", "≈", "†", "°"
Record = Mapping[Any, Any]


@dataclass(frozen=True)
class Entry:
    """One number of the table.

    Attributes
    ----------
    text : str
        The mean, or why there is none.
    interval : str
        ``[low, high]``; empty where there is none.
    marks : str
        Any of the marks of this module.
    best : bool
        Whether no compatible line has a better mean.
    record : dict or None
        The line of ``Analysis.estimates`` behind it.
    """

    text: str
    interval: str = ""
    marks: str = ""
    best: bool = False
    record: Record | None = None


@dataclass(frozen=True)
class MarkedTable:
    """The table: lines, columns and cells, with the sentences under it.

    ``budgets`` says how a line's budgets are shown: a trivial baseline that is the same at every budget has one line.
    """

    lines: list[Line]
    columns: list[Column]
    entries: dict[tuple[Line, Column], Entry]
    budgets: dict[Line, tuple[str, ...]]
    notes: list[str]


def marked_table(analysis: Analysis, metrics: tuple[str, ...] = MAIN_METRICS) -> MarkedTable:
    """Lay the estimates out like the publication's table.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    metrics : tuple of str
        Which metrics are columns.
    """
    lines = analysis.table.lines
    columns = [column for column in analysis.table.columns if column.metric in metrics]
    records = {_key(record): record for record in analysis.estimates.to_dict("records")}
    alpha = 1 - analysis.protocol.statistics.confidence
    entries = {}
    for line in lines:
        for column in columns:
            if line.budget(column.task) is None:
                entries[line, column] = Entry(NOT_LEARNED)
                continue
            record = records.get(
                (line.row, line.classification, line.segmentation, column.scope, column.domain, column.metric)
            )
            entries[line, column] = _entry(record, alpha)
    budgets = {line: tuple(line.budget(task) or NOT_LEARNED for task in Task) for line in lines}
    for same in _same_trivial(lines, columns, entries):
        budgets[same[0]] = tuple(NOT_LEARNED if b == NOT_LEARNED else ANY_BUDGET for b in budgets[same[0]])
        lines = [line for line in lines if line not in same[1:]]
    return MarkedTable(lines, columns, entries, budgets, _notes(analysis))


def _same_trivial(
    lines: list[Line], columns: list[Column], entries: dict[tuple[Line, Column], Entry]
) -> list[list[Line]]:
    """Return the trivial baselines that say the same at every budget, each with its lines."""
    found = []
    for row in dict.fromkeys(line.row for line in lines if line.trivial):
        own = [line for line in lines if line.row == row]
        shown = {tuple((entries[line, c].text, entries[line, c].interval) for c in columns) for line in own}
        if len(own) > 1 and len(shown) == 1:
            found.append(own)
    return found


def marks_of(record: Record, alpha: float) -> str:
    """Return the marks of an estimate."""
    verdict = record["verdict"]
    found = {"better": BETTER, "worse": WORSE, "equivalent": EQUIVALENT}.get(verdict or "", "")
    if verdict in ("undecided", "equivalent") and record["p_holm"] < alpha:
        found += SIGNIFICANT
    return found + (BELOW_TRIVIAL if record["clears_trivial"] is False else "")


def legend(analysis: Analysis) -> list[str]:
    """Return what the marks mean, one sentence each."""
    statistics, reference = analysis.protocol.statistics, analysis.protocol.reference_label
    level = f"{100 * statistics.confidence:g} %"
    sizes = sorted({int(size) for size in analysis.estimates["family"] if size > 0})
    count = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}" if sizes else "0"
    family = (
        "metric and domain, all budgets" if statistics.family == "domain" else "metric, domain and budget"
    )
    over = sorted({text for text in analysis.estimates["over"] if text and "one training" not in text})
    return [
        f"[low, high]: {level} interval over {'; '.join(over) or 'cases of one training'} "
        "(trainings and patients as samples); trivial baselines that no seed changes over cases alone.",
        f"Against {reference}: {BETTER} better, {WORSE} worse (significant after Holm, and the whole "
        f"interval of the difference beyond ±{statistics.equivalence:g}, for distances "
        f"{100 * statistics.distance_equivalence:g} % of the image's diagonal), {EQUIVALENT} equivalent "
        f"(whole interval within), no mark undecided. {SIGNIFICANT} significant, but the difference may be "
        "too small to matter.",
        f"Holm's family: the comparisons with {reference} in one {family}: {count} tests.",
        f"Bold: best mean at these budgets; no test. {BELOW_TRIVIAL} interval does not clear the best trivial baseline.",
    ]


def tie_sentences(analysis: Analysis) -> list[str]:
    """Return, per column of the main table, how many lines cannot be told from the best at any budget."""
    found = []
    estimates = analysis.estimates[~analysis.estimates["trivial"].astype(bool)]
    for (domain, metric), part in estimates.groupby(["domain", "metric"], sort=False):
        if metric in MAIN_METRICS and metric in analysis.protocol.statistics.metrics:
            tied = int(part["tied_best"].sum())
            found.append(f"{domain} {part['heading'].iloc[0]} {tied} of {len(part)}")
    return [f"Lines that Holm's tests cannot tell from the best: {'; '.join(found)}."] if found else []


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits; ``–`` for NaN."""
    return NOT_LEARNED if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _notes(analysis: Analysis) -> list[str]:
    ceilings = "Lines with full/full labels are each row's ceiling."
    shown = any(line.classification == line.segmentation == "full" for line in analysis.table.lines)
    captions = [text for text in analysis.table.captions if not text.startswith(("±", "One training"))]
    return [
        *legend(analysis),
        *tie_sentences(analysis),
        *([ceilings] if shown else []),
        *(f"Warning: {text}" for text in analysis.about["warnings"]),
        *captions,
    ]


def _key(record: Mapping[Any, Any]) -> tuple[Any, ...]:
    names = ("row", "budget_classification", "budget_segmentation", "scope", "domain", "metric")
    return tuple(record[name] for name in names)


def _entry(record: Record | None, alpha: float) -> Entry:
    if record is None:
        return Entry(NOT_THERE)
    if math.isnan(record["estimate"]):
        return Entry(UNDEFINED, record=record)
    interval = "" if math.isnan(record["low"]) else f"[{number(record['low'])}, {number(record['high'])}]"
    return Entry(number(record["estimate"]), interval, marks_of(record, alpha), bool(record["best"]), record)
