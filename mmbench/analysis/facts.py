"""What a reader must know next to the numbers: runs, cost, data, environment, warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.analysis.idle import idle_warnings
from mmbench.analysis.records import CellEstimate
from mmbench.analysis.results import Results
from mmbench.analysis.rows import Budgets, Place
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task

FEW_CASES = 50
"""Test cases below which uncertainty is wide whatever is done."""


@dataclass(frozen=True)
class PartCount:
    """Test cases and patients of one place."""

    place: Place
    cases: int
    patients: int


@dataclass(frozen=True)
class Leak:
    """Two parts that were searched for shared cases.

    Attributes
    ----------
    parts : sequence of str
        Both parts.
    counts : mapping of str to int
        Cases shared, by kind: ``patient``, ``identical``, ``near``.
    acknowledged, apart : bool
        Whether the protocol knows of them, and whether the parts must share none.
    """

    parts: Sequence[str]
    counts: Mapping[str, int]
    acknowledged: bool
    apart: bool


@dataclass(frozen=True)
class EnvironmentCount:
    """A machine with its software, JSON values, and how many runs were made there."""

    environment: Mapping[str, Any]
    runs: int


@dataclass(frozen=True)
class Facts:
    """The facts of a report.

    Attributes
    ----------
    title, description, reference : str
        Of the protocol.
    subsets, seeds : int
        Trainings of a cell are all combinations.
    created : str
        When the last record was made: UTC, ISO 8601.
    counts : tuple of PartCount
        Of every place that was scored.
    leaks : tuple of Leak
        Pairs of parts that were searched; empty where the plan does not say.
    notes : tuple of str
        What the plan found out about the data.
    test_queries : int
        How often one training's weights were scored on target test data.
    environments : tuple of EnvironmentCount
        Where the runs were made.
    warnings : tuple of str
        What weakens the conclusions, one sentence each.
    """

    title: str
    description: str
    reference: str
    subsets: int
    seeds: int
    created: str
    counts: tuple[PartCount, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]
    test_queries: int
    environments: tuple[EnvironmentCount, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RunRow:
    """One planned run: its state, time in seconds and memory in MB; NaN where they are not known."""

    run: str
    row: str
    budgets: Budgets
    subset: int
    seed: int
    state: str
    seconds: float
    train_seconds: float
    evaluate_seconds: float
    peak_memory_mb: float
    parameters: float
    selected_step: float


@dataclass(frozen=True)
class RowCost:
    """One row: what it learns and sees, and what a finished run cost (mean seconds, largest memory in MB).

    Family and what it sees are empty where the plan was made before they were recorded.
    """

    row: str
    method: str
    family: str
    tasks: str
    sees: str
    runs: int
    parameters: float
    seconds: float
    train_seconds: float
    evaluate_seconds: float
    peak_memory_mb: float


def facts_of(results: Results, estimates: Iterable[CellEstimate]) -> Facts:
    """Return the facts of a report.

    Parameters
    ----------
    results : Results
        The results folder.
    estimates : iterable of CellEstimate
        Give the counts of cases.
    """
    protocol = results.protocol
    counts = {e.column.place: PartCount(e.column.place, e.cases, e.patients) for e in estimates}
    overlaps = results.report.get("leaks", {}).get("overlaps", [])
    return Facts(
        title=protocol.name,
        description=protocol.description,
        reference=protocol.reference_label,
        subsets=len(protocol.subset_numbers),
        seeds=len({run.seed for run in results.runs}) or 1,
        created=max((run.created for run in results.facts.values()), default=results.planned_at),
        counts=tuple(counts.values()),
        leaks=tuple(
            Leak(overlap["parts"], overlap["counts"], overlap["acknowledged"], overlap["apart"])
            for overlap in overlaps
        ),
        notes=tuple(results.report.get("notes", ())),
        test_queries=test_queries(protocol),
        environments=_environments(results),
        warnings=(
            *_warnings(results),
            *_few_cases(counts.values()),
            *_oracle(protocol),
            *idle_warnings(results),
        ),
    )


def test_queries(protocol: Protocol) -> int:
    """Return how often one training's weights are scored on target test data."""
    if protocol.selection.rule != "oracle":
        return 1
    return math.ceil(protocol.training.steps / protocol.selection.every) + 1


def run_rows(results: Results) -> tuple[RunRow, ...]:
    """Return one record per planned run."""
    found = []
    for run in results.runs:
        facts = results.facts.get(run.id)
        seconds = facts.seconds if facts else {}
        budgets = {task: str(budget) for task, budget in run.budgets.items()}
        found.append(
            RunRow(
                run=run.id,
                row=run.label,
                budgets=Budgets(*(budgets.get(task) for task in Task)),
                subset=run.subset,
                seed=run.seed,
                state="finished" if facts else "failed" if run.id in results.failed else "missing",
                seconds=seconds.get("total", math.nan),
                train_seconds=seconds.get("train", math.nan),
                evaluate_seconds=seconds.get("predict", math.nan) + seconds.get("score", math.nan),
                peak_memory_mb=facts.peak_memory_mb if facts else math.nan,
                parameters=facts.parameters if facts else math.nan,
                selected_step=facts.selected_step if facts else math.nan,
            )
        )
    return tuple(found)


def row_costs(results: Results, runs: Iterable[RunRow]) -> tuple[RowCost, ...]:
    """Return one record per row."""
    by_row: dict[str, list[RunRow]] = {}
    for run in runs:
        by_row.setdefault(run.row, []).append(run)
    methods = {run.label: run.method for run in results.runs}
    known = results.report.get("rows", {})
    found = []
    for row, own in by_row.items():
        done = [run for run in own if run.state == "finished"]
        learned = [task.value for task in Task if any(run.budgets.of(task) is not None for run in own)]
        found.append(
            RowCost(
                row=row,
                method=methods[row],
                family=known.get(row, {}).get("family", ""),
                sees=", ".join(known.get(row, {}).get("sees", ())),
                tasks=" and ".join(learned),
                runs=len(done),
                parameters=_largest(run.parameters for run in done),
                seconds=_mean(run.seconds for run in done),
                train_seconds=_mean(run.train_seconds for run in done),
                evaluate_seconds=_mean(run.evaluate_seconds for run in done),
                peak_memory_mb=_largest(run.peak_memory_mb for run in done),
            )
        )
    return tuple(found)


def _warnings(results: Results) -> list[str]:
    protocol, found = results.protocol, []
    planned, finished = len({run.id for run in results.runs}), len(results.finished)
    if finished < planned:
        cause = f" ({len(results.failed)} failed)" if results.failed else ""
        found.append(f"{planned - finished} of {planned} runs are missing{cause}: nothing here is final.")
    trainings = protocol.trainings
    if trainings == 1:
        found.append(
            "One training per row and budget: intervals are over cases alone and say nothing of another seed "
            "or subset, so there are no verdicts."
        )
    return found


def _few_cases(counts: Iterable[PartCount]) -> list[str]:
    return [
        f"{part.place.domain} has {part.cases} test cases ({part.place.task.value}): under {FEW_CASES}, so "
        "wide uncertainty."
        for part in counts
        if part.cases < FEW_CASES
    ]


def _oracle(protocol: Protocol) -> list[str]:
    chosen = protocol.selection.rule == "oracle"
    return ["Weights were chosen on the targets themselves: an upper bound, not a result."] if chosen else []


def _environments(results: Results) -> tuple[EnvironmentCount, ...]:
    counted: dict[str, int] = {}
    for id in sorted(results.facts):
        text = json.dumps(results.facts[id].environment, sort_keys=True)
        counted[text] = counted.get(text, 0) + 1
    return tuple(EnvironmentCount(json.loads(text), count) for text, count in counted.items())


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _largest(values: Iterable[float]) -> float:
    return max(_known(values), default=math.nan)


def _mean(values: Iterable[float]) -> float:
    known = _known(values)
    return math.fsum(known) / len(known) if known else math.nan
