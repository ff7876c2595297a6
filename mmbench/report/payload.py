"""What the page shows, as plain lists of text and numbers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mmbench.protocol.metrics import METRICS
from mmbench.report.marks import MarkedTable, marked_table, marks_of, number
from mmbench.report.render import NOT_LEARNED, plain

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.report.analysis import Analysis

MAIN = ("accuracy", "dice")
"""Metrics of the summary in words."""


def page_context(
    analysis: Analysis, *, published: pd.DataFrame | None, sensitivity: pd.DataFrame | None
) -> dict[str, Any]:
    """Return everything the page's template needs.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    published, sensitivity : DataFrame or None
        As for :func:`mmbench.report.html.render_html`.
    """
    table = marked_table(analysis)
    about = analysis.about
    states = analysis.runs["state"].value_counts()
    return {
        "about": about,
        "states": {state: int(states.get(state, 0)) for state in ("finished", "failed", "missing")},
        "summary": summary(analysis),
        "filters": _filters(analysis),
        "main": _main(table),
        "notes": table.notes,
        "estimates": _estimates(analysis),
        "comparisons": _comparisons(analysis),
        "ranks": _ranks(analysis),
        "lines": _lines(analysis),
        "rows": _rows(analysis),
        "scatter": _scatter(analysis),
        "published": _any_table(published),
        "sensitivity": _any_table(sensitivity),
    }


def embedded(value: Any) -> str:
    """Return JSON that can stand inside a script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def summary(analysis: Analysis) -> list[dict[str, Any]]:
    """Return, per main metric and domain, which lines differ from the reference, in words."""
    found = []
    estimates = analysis.estimates
    for (domain, scope, metric), part in estimates.groupby(["domain", "scope", "metric"], sort=False):
        judged = part[part["verdict"].notna()]
        if metric not in MAIN or not len(judged):
            continue
        groups: dict[str, list[str]] = {}
        for record in judged.to_dict("records"):
            text = f"{plain(record['row'])} at {_budget(record)}"
            if record["verdict"] in ("better", "worse"):
                text += (
                    f" by {abs(record['difference']):.3f} "
                    f"[{_signed(record['difference_low'])}, {_signed(record['difference_high'])}]"
                )
            groups.setdefault(record["verdict"], []).append(text)
        found.append(
            {
                "domain": domain,
                "scope": scope,
                "metric": METRICS[metric].title,
                "task": METRICS[metric].task.value,
                "total": len(judged),
                "groups": [
                    {"verdict": verdict, "items": groups[verdict]}
                    for verdict in ("better", "worse", "equivalent")
                    if verdict in groups
                ],
                "undecided": len(groups.get("undecided", [])),
            }
        )
    return found


def _filters(analysis: Analysis) -> dict[str, list[str]]:
    estimates = analysis.estimates
    return {
        "task": list(dict.fromkeys(estimates["task"])),
        "domain": list(dict.fromkeys(estimates["domain"])),
        "budget": list(dict.fromkeys(_budget(record) for record in estimates.to_dict("records"))),
        "method": list(dict.fromkeys(plain(line.row) for line in analysis.table.lines)),
    }


def _main(table: MarkedTable) -> dict[str, Any]:
    groups: list[dict[str, Any]] = []
    for column in table.columns:
        key = (column.scope, column.domain, column.task.value)
        if not groups or groups[-1]["key"] != key:
            groups.append({"key": key, "scope": key[0], "domain": key[1], "task": key[2], "count": 0})
        groups[-1]["count"] += 1
    columns = [
        {
            "heading": column.heading,
            "title": f"{METRICS[column.metric].title} on {column.domain}",
            "domain": column.domain,
            "task": column.task.value,
            "lower": not column.higher_is_better,
        }
        for column in table.columns
    ]
    lines = []
    for line in table.lines:
        cells = []
        for column in table.columns:
            cell = table.entries[line, column]
            record = cell.record or {}
            cells.append(
                {
                    "text": cell.text,
                    "interval": cell.interval,
                    "marks": cell.marks,
                    "best": cell.best,
                    "value": _json(record.get("estimate")),
                    "verdict": record.get("verdict") or "",
                    "title": _tooltip(record),
                }
            )
        lines.append(
            {
                "row": plain(line.row),
                "trivial": line.trivial,
                "budgets": list(table.budgets[line]),
                "budget": "/".join(table.budgets[line]),
                "anchor": anchor(line.row, line.classification, line.segmentation),
                "cells": cells,
            }
        )
    return {"groups": groups, "columns": columns, "lines": lines}


def _tooltip(record: Any) -> str:
    if not record or math.isnan(record["estimate"]):
        return ""
    parts = [f"over {record['over']}, {record['cases']} cases of {record['patients']} patients"]
    if not math.isnan(record["trivial_value"]) and not record["trivial"]:
        parts.append(f"best trivial baseline {number(record['trivial_value'])}")
    if not math.isnan(record["ceiling"]):
        parts.append(f"with full labels {number(record['ceiling'])}")
    if record["verdict"]:
        parts.append(
            f"difference from the reference {_signed(record['difference'])} "
            f"[{_signed(record['difference_low'])}, {_signed(record['difference_high'])}], "
            f"p after Holm {number(record['p_holm'])}: {record['verdict']}"
        )
    if not record["trivial"]:
        parts.append("not told apart from the best" if record["tied_best"] else "told apart from the best")
    return "; ".join(parts)


def _estimates(analysis: Analysis) -> list[dict[str, Any]]:
    alpha = 1 - analysis.protocol.statistics.confidence
    return [
        {
            "row": plain(record["row"]),
            "budget": _budget(record),
            "task": record["task"],
            "domain": record["domain"],
            "scope": record["scope"],
            "metric": METRICS[record["metric"]].title,
            "estimate": _json(record["estimate"]),
            "low": _json(record["low"]),
            "high": _json(record["high"]),
            "sd": _json(record["sd"]),
            "trainings": record["trainings"],
            "trivial": _json(record["trivial_value"]),
            "verdict": record["verdict"] or "",
            "marks": marks_of(record, alpha),
            "anchor": anchor(record["row"], record["budget_classification"], record["budget_segmentation"]),
        }
        for record in analysis.estimates.to_dict("records")
    ]


def _comparisons(analysis: Analysis) -> list[dict[str, Any]]:
    keys = ("difference", "low", "high", "p", "p_holm", "signed_rank_p", "nadeau_bengio_p")
    return [
        {
            "a": plain(record["row_a"]),
            "b": plain(record["row_b"]),
            "methods": [plain(record["row_a"]), plain(record["row_b"])],
            "budget": record["budget"],
            "task": record["task"],
            "domain": record["domain"],
            "metric": METRICS[record["metric"]].title,
            "family": record["family"],
            "verdict": record["verdict"],
            **{key: _json(record[key]) for key in (*keys, "superiority", "rank_biserial")},
        }
        for record in analysis.comparisons.to_dict("records")
    ]


def _ranks(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "row": plain(record["row"]),
            "task": record["task"],
            "domain": record["domain"],
            "metric": METRICS[record["metric"]].title,
            "rank": record["mean_rank"],
            "low": record["low"],
            "high": record["high"],
            "group": record["group"],
            "blocks": record["blocks"],
            "friedman": _json(record["friedman_p"]),
        }
        for record in analysis.ranks.to_dict("records")
    ]


def anchor(row: str, classification: str | None, segmentation: str | None) -> str:
    """Return the id of a line's list of runs: letters and digits only, different for every line."""
    name = "".join(
        letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_" for letter in row
    )
    return f"runs-{name}-{classification or 'none'}-{segmentation or 'none'}"


def _lines(analysis: Analysis) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for run in analysis.runs.to_dict("records"):
        id = anchor(run["row"], run["budget_classification"], run["budget_segmentation"])
        line = found.setdefault(
            id,
            {
                "anchor": id,
                "row": plain(run["row"]),
                "budget": _budget(run),
                "runs": [],
            },
        )
        line["runs"].append(
            {
                "id": run["run"],
                "subset": run["subset"],
                "seed": run["seed"],
                "state": run["state"],
                "seconds": _json(run["seconds"]),
                "memory": _json(run["peak_memory_mb"]),
                "step": _json(run["selected_step"]),
            }
        )
    return list(found.values())


def _rows(analysis: Analysis) -> list[dict[str, Any]]:
    numbers = ("parameters", "seconds", "train_seconds", "evaluate_seconds", "peak_memory_mb")
    return [
        {
            "row": plain(record["row"]),
            "method": record["method"],
            "tasks": record["tasks"],
            "runs": record["runs"],
            **{key: _json(record[key]) for key in numbers},
        }
        for record in analysis.rows.to_dict("records")
    ]


def _scatter(analysis: Analysis) -> dict[str, Any]:
    """Return each line's per-case means, one list per domain, in the order of its cases."""
    found: list[dict[str, Any]] = []
    if not len(analysis.cases):
        return {"domains": found}
    for (domain, task), part in analysis.cases.groupby(["domain", "task"], sort=False):
        lines, cases = [], None
        for (row, first, second), own in part.groupby(
            ["row", "budget_classification", "budget_segmentation"], sort=False, dropna=False
        ):
            cases = cases or [plain(case) for case in own["case_id"]]
            budgets = "/".join(b if isinstance(b, str) else NOT_LEARNED for b in (first, second))
            lines.append(
                {"name": f"{plain(str(row))} at {budgets}", "values": [round(v, 4) for v in own["value"]]}
            )
        found.append(
            {
                "domain": domain,
                "task": task,
                "unit": "Dice" if task == "segmentation" else "probability of pneumonia",
                "cases": cases,
                "lines": lines,
            }
        )
    return {"domains": found}


def _any_table(frame: pd.DataFrame | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    rows = [
        [
            f"{v:.3f}" if isinstance(v, float) and v == v else NOT_LEARNED if v is None or v != v else str(v)
            for v in row
        ]
        for row in frame.itertuples(index=False)
    ]
    return {"heads": [str(name).replace("_", " ") for name in frame.columns], "rows": rows}


def _budget(record: Any) -> str:
    names = ("budget_classification", "budget_segmentation")
    return "/".join(record[name] or NOT_LEARNED for name in names)


def _signed(value: float) -> str:
    return NOT_LEARNED if math.isnan(value) else f"{value:+.3f}"


def _json(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
