"""What the page shows, as plain lists of text and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmbench.analysis.analysis import Analysis
from mmbench.analysis.records import CellEstimate, Primary
from mmbench.analysis.rows import Budgets, Column
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import CLASS_NAMES, Task
from mmbench.report.answer import summary_lines
from mmbench.report.csv_files import tuning_frame
from mmbench.report.marks import marks_of
from mmbench.report.notes import policy_sentence, selection_sentence
from mmbench.report.table import Line, Table, interval_table
from mmbench.report.text import cell_texts, number, plain, signed

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]


def page_context(
    analysis: Analysis,
    *,
    published: pd.DataFrame | None,
    sensitivity: pd.DataFrame | None,
    yardsticks: pd.DataFrame | None,
) -> Json:
    """Return everything the page's template needs.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    published, sensitivity, yardsticks : DataFrame or None
        As for :func:`mmbench.report.html.render_html`.
    """
    table = interval_table(analysis)
    states = [run.state for run in analysis.runs]
    return {
        "about": analysis.facts,
        "policy": policy_sentence(table.columns, analysis.protocol),
        "selection": selection_sentence(analysis.protocol),
        "states": {state: states.count(state) for state in ("finished", "failed", "missing")},
        "answer": summary_lines(analysis),
        "summary": summary(analysis),
        "primary": _primary(analysis),
        "convergence": [vars(one) for one in analysis.convergence],
        "filters": _filters(analysis),
        "main": _main(table),
        "notes": table.notes,
        "estimates": _estimates(analysis),
        "comparisons": _comparisons(analysis),
        "ranks": _ranks(analysis),
        "cells": _cells(analysis),
        "rows": _rows(analysis),
        "scatter": _scatter(analysis),
        "tuning": _any_table(tuning_frame(analysis.tuning)) if analysis.tuning else None,
        "yardsticks": _any_table(yardsticks),
        "published": _any_table(published),
        "sensitivity": _any_table(sensitivity),
    }


def embedded(value: Any) -> str:
    """Return JSON that can stand inside a script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def summary(analysis: Analysis) -> list[Json]:
    """Return, per primary metric and domain, the verdict on each row, in words."""
    by_column: dict[Column, list[Primary]] = {}
    for record in analysis.records.primary:
        by_column.setdefault(record.column, []).append(record)
    return [_verdicts(column, judged) for column, judged in by_column.items()]


def _verdicts(column: Column, judged: list[Primary]) -> Json:
    groups: dict[str, list[str]] = {}
    for record in judged:
        own = record.difference
        text = plain(record.row)
        if not math.isnan(own.value):
            text += f" {signed(own.value)}"
        if own.has_interval:
            text += f" [{signed(own.low)}, {signed(own.high)}]"
        doubt = record.reason or ("hangs on collapsed runs" if record.hangs else "")
        groups.setdefault(record.verdict, []).append(f"{text} ({doubt})" if doubt else text)
    return {
        "domain": column.domain,
        "scope": column.scope,
        "metric": METRICS[column.metric].title,
        "task": column.task.value,
        "groups": [
            {"verdict": verdict, "items": groups[verdict]}
            for verdict in ("better", "worse", "equivalent", "undecided")
            if verdict in groups
        ],
    }


def _primary(analysis: Analysis) -> list[Json]:
    return [
        {
            "row": plain(record.row),
            **_column(record.column),
            "difference": _json(record.difference.value),
            "low": _json(record.difference.low),
            "high": _json(record.difference.high),
            "p": _json(record.difference.p),
            "saved": _json(record.saved),
            "correlation": _json(record.correlation),
            "verdict": record.verdict,
            "budgets": [
                {
                    "budget": one.budgets.text,
                    "difference": _json(one.difference.value),
                    "low": _json(one.difference.low),
                    "high": _json(one.difference.high),
                    "verdict": one.verdict or "",
                }
                for one in record.budgets
            ],
        }
        for record in analysis.records.primary
    ]


def _filters(analysis: Analysis) -> dict[str, list[str]]:
    estimates = analysis.records.estimates
    return {
        "task": list(dict.fromkeys(record.column.task.value for record in estimates)),
        "domain": list(dict.fromkeys(record.column.domain for record in estimates)),
        "budget": list(dict.fromkeys(record.cell.budgets.text for record in estimates)),
        "method": list(dict.fromkeys(plain(cell.row) for cell in analysis.matrix.cells)),
    }


def _main(table: Table) -> Json:
    groups: dict[tuple[str, str, str], int] = {}
    for column in table.columns:
        key = (column.scope, column.domain, column.task.value)
        groups[key] = groups.get(key, 0) + 1
    return {
        "groups": [
            {"scope": scope, "domain": domain, "task": task, "count": count}
            for (scope, domain, task), count in groups.items()
        ],
        "columns": [
            {
                "heading": column.heading,
                "title": f"{METRICS[column.metric].title} on {column.domain}",
                "domain": column.domain,
                "task": column.task.value,
                "lower": not column.higher_is_better,
            }
            for column in table.columns
        ],
        "lines": [_line(line) for line in table.shown],
    }


def _line(line: Line) -> Json:
    return {
        "row": plain(line.cell.row),
        "name": plain(line.name),
        "trivial": line.cell.trivial,
        "budgets": list(line.budgets),
        "budget": "/".join(line.budgets),
        "anchor": anchor(line.cell.row, line.cell.budgets),
        "entries": [
            {
                "text": entry.text,
                "interval": entry.interval,
                "marks": entry.marks,
                "best": entry.best,
                "value": _json(entry.mean),
                "verdict": entry.verdict or "",
                "title": _tooltip(entry.record),
            }
            for entry in line.entries
        ],
    }


def _tooltip(record: CellEstimate | None) -> str:
    if record is None or math.isnan(record.estimate.value):
        return ""
    parts = [f"over {record.estimate.over}, {record.cases} cases of {record.patients} patients"]
    if not math.isnan(record.trivial_value) and not record.cell.trivial:
        parts.append(f"best trivial baseline {number(record.trivial_value)}")
    if not math.isnan(record.ceiling):
        parts.append(f"with full labels {number(record.ceiling)}")
    against = record.against
    if against is not None:
        parts.append(
            f"difference from the reference {signed(against.difference)} "
            f"[{signed(against.low)}, {signed(against.high)}], "
            f"p after Holm {number(against.p_holm)}: {against.verdict or 'exploratory'}"
        )
    if not record.cell.trivial:
        ending = "no significant difference from the best" if record.tied_best else "differs from the best"
        parts.append(ending)
    return "; ".join(parts)


def _estimates(analysis: Analysis) -> list[Json]:
    alpha = 1 - analysis.protocol.statistics.confidence
    return [
        {
            "row": plain(record.cell.row),
            "budget": record.cell.budgets.text,
            **_column(record.column),
            "scope": record.column.scope,
            "estimate": _json(record.estimate.value),
            "low": _json(record.estimate.low),
            "high": _json(record.estimate.high),
            "sd": _json(record.sd),
            "trainings": record.estimate.trainings,
            "trivial": _json(record.trivial_value),
            "verdict": record.verdict or "",
            "marks": marks_of(record, alpha),
            "anchor": anchor(record.cell.row, record.cell.budgets),
        }
        for record in analysis.records.estimates
    ]


def _comparisons(analysis: Analysis) -> list[Json]:
    return [
        {
            "a": plain(test.row_a),
            "b": plain(test.row_b),
            "budget": test.budgets.text,
            **_column(test.column),
            "family": test.family,
            "difference": _json(test.difference.value),
            "low": _json(test.difference.low),
            "high": _json(test.difference.high),
            "p": _json(test.difference.p),
            "p_holm": _json(test.p_holm),
            "signed_rank_p": _json(test.signed_rank_p),
            "nadeau_bengio_p": _json(test.nadeau_bengio_p),
            "superiority": _json(test.superiority),
            "rank_biserial": _json(test.rank_biserial),
        }
        for test in analysis.records.comparisons
    ]


def _ranks(analysis: Analysis) -> list[Json]:
    return [
        {
            "row": plain(record.row),
            **_column(record.column),
            "rank": record.mean_rank,
            "low": record.low,
            "high": record.high,
            "group": record.group,
            "blocks": record.blocks,
            "friedman": _json(record.friedman_p),
        }
        for record in analysis.records.ranks
    ]


def _column(column: Column) -> Json:
    return {"task": column.task.value, "domain": column.domain, "metric": METRICS[column.metric].title}


def anchor(row: str, budgets: Budgets) -> str:
    """Return the id of a cell's list of runs: letters and digits only, different for every cell."""
    name = "".join(
        letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_" for letter in row
    )
    return f"runs-{name}-{budgets.classification or 'none'}-{budgets.segmentation or 'none'}"


def _cells(analysis: Analysis) -> list[Json]:
    found: dict[str, Json] = {}
    for run in analysis.runs:
        id = anchor(run.row, run.budgets)
        empty = {"anchor": id, "row": plain(run.row), "budget": run.budgets.text, "runs": []}
        found.setdefault(id, empty)["runs"].append(
            {
                "id": run.run,
                "subset": run.subset,
                "seed": run.seed,
                "state": run.state,
                "seconds": _json(run.seconds),
                "memory": _json(run.peak_memory_mb),
                "step": _json(run.selected_step),
            }
        )
    return list(found.values())


def _rows(analysis: Analysis) -> list[Json]:
    return [
        {
            "row": plain(record.row),
            "method": record.method,
            "family": record.family,
            "tasks": record.tasks,
            "sees": record.sees,
            "runs": record.runs,
            "parameters": _json(record.parameters),
            "seconds": _json(record.seconds),
            "train_seconds": _json(record.train_seconds),
            "evaluate_seconds": _json(record.evaluate_seconds),
            "peak_memory_mb": _json(record.peak_memory_mb),
        }
        for record in analysis.rows
    ]


def _scatter(analysis: Analysis) -> Mapping[str, list[Json]]:
    """Return each cell's per-case means, one list per domain, in the order of its cases."""
    found: dict[tuple[str, Task], Json] = {}
    for own in analysis.records.cases:
        task = own.place.task
        part = found.setdefault(
            (own.place.domain, task),
            {
                "domain": own.place.domain,
                "task": task.value,
                "unit": _unit(task, analysis.protocol),
                "cases": [plain(case) for case in own.case_ids],
                "lines": [],
            },
        )
        name = f"{plain(own.cell.row)} at {own.cell.budgets.text}"
        part["lines"].append({"name": name, "values": [round(float(value), 4) for value in own.means]})
    return {"domains": list(found.values())}


def _unit(task: Task, protocol: Protocol) -> str:
    if task is Task.SEGMENTATION:
        return "Dice"
    return f"probability of {'pneumonia' if protocol.classes == CLASS_NAMES else 'its own class'}"


def _any_table(frame: pd.DataFrame | None) -> Json | None:
    if frame is None:
        return None
    rows = [cell_texts(row) for row in frame.itertuples(index=False)]
    return {"heads": [str(name).replace("_", " ") for name in frame.columns], "rows": rows}


def _json(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
