"""What a reader must know beside the numbers: runs, cost, data, policy, environment, warnings."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mmbench.protocol.vocabulary import Task
from mmbench.report.captions import FEW_CASES, policy_sentence, selection_sentence
from mmbench.report.main_table import MainTable
from mmbench.stats.power import smallest_p
from mmbench.store.record import StoredPlan
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd


def about(store: ResultStore, plan: StoredPlan, table: MainTable, estimates: pd.DataFrame) -> dict[str, Any]:
    """Return the facts of a report, JSON-ready.

    Parameters
    ----------
    store : ResultStore
        The records.
    plan : StoredPlan
        What was asked for.
    table : MainTable
        Its captions are passed on.
    estimates : DataFrame
        As :class:`mmbench.report.analysis.Analysis` holds them; gives the counts of cases.
    """
    protocol = plan.protocol
    finished = store.finished() & {run.id for run in plan.runs}
    contents = [store.content(id) for id in sorted(finished)]
    parts = estimates.drop_duplicates(["task", "domain"])
    counts = [
        {"task": task, "domain": domain, "scope": scope, "cases": int(cases), "patients": int(patients)}
        for task, domain, scope, cases, patients in zip(
            parts["task"], parts["domain"], parts["scope"], parts["cases"], parts["patients"], strict=True
        )
    ]
    overlaps = plan.report.get("leaks", {}).get("overlaps", [])
    return {
        "title": protocol.name,
        "description": protocol.description,
        "created": max((content["created"] for content in contents), default=plan.created),
        "reference": protocol.reference_label,
        "subsets": protocol.subsets,
        "seeds": protocol.seeds,
        "statistics": protocol.statistics.model_dump(mode="json"),
        "counts": counts,
        "leaks": [
            {key: overlap[key] for key in ("parts", "counts", "acknowledged", "apart")}
            for overlap in overlaps
        ],
        "notes": list(plan.report.get("notes", [])),
        "policy": policy_sentence(table, protocol),
        "selection": selection_sentence(protocol),
        "test_queries": test_queries(plan),
        "environments": _environments(contents),
        "captions": list(table.captions),
        "warnings": _warnings(plan, counts, len(finished), len(store.failed())),
    }


def test_queries(plan: StoredPlan) -> int:
    """Return how often one training's weights were scored on target test data."""
    protocol = plan.protocol
    if protocol.selection.rule != "oracle":
        return 1
    return math.ceil(protocol.training.steps / protocol.selection.every) + 1


def test_share(plan: StoredPlan, task: str) -> float | None:
    """Return test cases per training case of a task's source; None where the plan does not say."""
    counts = plan.report.get("part_counts", {}).get(task)
    return counts["test"] / counts["train"] if counts and counts["train"] else None


def runs_frame(store: ResultStore, plan: StoredPlan) -> pd.DataFrame:
    """Return one line per planned run with its state, time and memory."""
    import pandas as pd

    finished, failed = store.finished(), set(store.failed())
    lines = []
    for run in plan.runs:
        content = store.content(run.id) if run.id in finished else None
        state = "finished" if content else "failed" if run.id in failed else "missing"
        budgets = {f"budget_{task.value}": run.budgets.get(task) for task in Task}
        lines.append(
            {
                "run": run.id,
                "row": run.label,
                **{name: None if budget is None else str(budget) for name, budget in budgets.items()},
                "subset": run.subset,
                "seed": run.seed,
                "state": state,
                "seconds": _seconds(content, "total"),
                "train_seconds": _seconds(content, "train"),
                "evaluate_seconds": _seconds(content, "evaluate"),
                "peak_memory_mb": _number(content and content["peak_memory_mb"]),
                "parameters": _number(content and content["parameters"]),
                "selected_step": _number(content and content["selected_step"]),
            }
        )
    found = pd.DataFrame(lines)
    for task in Task:
        column = f"budget_{task.value}"
        found[column] = found[column].astype(object).where(found[column].notna(), None)
    return found


def rows_frame(store: ResultStore, plan: StoredPlan, runs: pd.DataFrame) -> pd.DataFrame:
    """Return one line per row: what it learns and what it cost."""
    import pandas as pd

    methods = {run.label: run.method for run in plan.runs}
    trivial = set(plan.report.get("trivial_baselines", plan.protocol.trivial_baselines))
    lines = []
    for row, own in runs.groupby("row", sort=False):
        done = own[own["state"] == "finished"]
        tasks = [task.value for task in Task if own[f"budget_{task.value}"].notna().any()]
        lines.append(
            {
                "row": row,
                "method": methods[str(row)],
                "trivial": row in trivial,
                "reference": row == plan.protocol.reference_label,
                "tasks": " and ".join(tasks),
                "parameters": done["parameters"].max(),
                "runs": len(done),
                "seconds": done["seconds"].mean(),
                "train_seconds": done["train_seconds"].mean(),
                "evaluate_seconds": done["evaluate_seconds"].mean(),
                "peak_memory_mb": done["peak_memory_mb"].max(),
            }
        )
    return pd.DataFrame(lines)


def _warnings(plan: StoredPlan, counts: list[dict[str, Any]], finished: int, failed: int) -> list[str]:
    protocol = plan.protocol
    found = []
    planned = len({run.id for run in plan.runs})
    if finished < planned:
        cause = f" ({failed} failed)" if failed else ""
        found.append(f"{planned - finished} of {planned} runs are missing{cause}: nothing here is final.")
    trainings = protocol.subsets * protocol.seeds
    if trainings == 1:
        found.append(
            "One training per row: intervals are over cases alone and say nothing of another seed or subset."
        )
    elif smallest_p(trainings) >= 1 - protocol.statistics.confidence:
        found.append(
            f"{trainings} trainings per row: the exact signed-rank test over trainings cannot go below "
            f"p = {smallest_p(trainings):.3g}; intervals rest on {trainings - 1} degrees of freedom where "
            "trainings differ most."
        )
    found += [
        f"{part['domain']} has {part['cases']} test cases ({part['task']}): under {FEW_CASES}, so wide "
        "uncertainty."
        for part in counts
        if part["cases"] < FEW_CASES
    ]
    if protocol.selection.rule == "oracle":
        found.append("Weights were chosen on the targets themselves: an upper bound, not a result.")
    return found


def _environments(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counted: dict[str, int] = {}
    for content in contents:
        text = json.dumps(content["environment"], sort_keys=True)
        counted[text] = counted.get(text, 0) + 1
    return [{**json.loads(text), "runs": count} for text, count in counted.items()]


def _seconds(content: dict[str, Any] | None, phase: str) -> float:
    return _number(content and content["seconds"].get(phase))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
