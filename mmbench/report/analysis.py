"""Every number of a report, computed once: tables, figures and pages only show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import StoreError
from mmbench.protocol.metrics import METRICS, Metric
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import generator
from mmbench.report.about import about, rows_frame, runs_frame, test_share
from mmbench.report.comparisons import against_reference, comparison_records, mark_ties
from mmbench.report.curves import case_records, curve_records
from mmbench.report.estimates import estimate_records
from mmbench.report.main_table import Line, MainTable, stored_table
from mmbench.report.matrix import rank_records, variance_records
from mmbench.report.scored import Scored, lines_of
from mmbench.report.workers import spread
from mmbench.stats.blocks import Block, blocks
from mmbench.stats.resampling import patient_weights, replicates
from mmbench.store.frames import load_results
from mmbench.store.record import StoredPlan
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

_TEXT = ("budget_classification", "budget_segmentation", "verdict", "clears_trivial")


@dataclass(frozen=True)
class Numbers:
    """What is computed from per-case scores.

    Attributes
    ----------
    estimates : DataFrame
        One line per row, budgets, domain and metric: mean over trainings, interval, trivial baseline, ceiling, and
        the comparison with the reference.
    comparisons : DataFrame
        One line per two rows at one budget pair, domain and metric.
    ranks, rank_pairs : DataFrame
        Mean ranks over trainings per domain and metric; pairs of rows with their corrected p-values.
    variance : DataFrame
        Components of variance per row, budgets, domain and metric.
    curves : DataFrame
        Points of ROC and calibration curves.
    cases : DataFrame
        Each case's Dice or probability of pneumonia, mean over trainings.
    cliques : list of dict
        Rows that no test tells apart, per domain and metric.
    """

    estimates: pd.DataFrame
    comparisons: pd.DataFrame
    ranks: pd.DataFrame
    rank_pairs: pd.DataFrame
    variance: pd.DataFrame
    curves: pd.DataFrame
    cases: pd.DataFrame
    cliques: list[dict[str, Any]]


NUMBERS = tuple(field.name for field in fields(Numbers))


@dataclass(frozen=True)
class Analysis(Numbers):
    """What a results folder says.

    Attributes
    ----------
    results : Path
        The folder.
    protocol : Protocol
        What was asked for.
    table : MainTable
        Means and deviations over trainings in the publication's layout.
    about : dict
        Leaks, notes, policy, selection rule, environments, captions and warnings, JSON-ready.
    rows : DataFrame
        One line per row: tasks, parameters, time and memory.
    runs : DataFrame
        One line per planned run: budgets, subset, seed and state.
    scores : DataFrame
        Every per-case score, as :func:`mmbench.store.frames.load_results` makes it.
    """

    results: Path
    protocol: Protocol
    table: MainTable
    about: dict[str, Any]
    rows: pd.DataFrame
    runs: pd.DataFrame
    scores: pd.DataFrame


def analyse(results: Path) -> Analysis | None:
    """Compute every number of a results folder's report.

    Parameters
    ----------
    results : Path
        The folder ``results/<protocol>``.

    Returns
    -------
    Analysis or None
        None when no run of the plan is finished.

    Raises
    ------
    StoreError
        If there is no plan, or a record is damaged.
    """
    store = ResultStore(Path(results))
    plan, finished = store.load_plan(), store.finished()
    if not any(run.id in finished for run in plan.runs):
        return None
    table = stored_table(store, plan)
    scores = load_results(store.root)
    numbers = compare(scores, plan, table.lines)
    runs = runs_frame(store, plan)
    return Analysis(
        **vars(numbers),
        results=store.root,
        protocol=plan.protocol,
        table=table,
        about=about(store, plan, table, numbers.estimates),
        rows=rows_frame(store, plan, runs),
        runs=runs,
        scores=scores,
    )


def compare(scores: pd.DataFrame, plan: StoredPlan, order: Iterable[Line]) -> Numbers:
    """Compute every estimate and comparison from per-case scores.

    Parameters
    ----------
    scores : DataFrame
        As :func:`mmbench.store.frames.load_results` makes it.
    plan : StoredPlan
        What the protocol asks for; its metric policy and statistics count.
    order : iterable of Line
        The order of lines in every frame.

    Raises
    ------
    StoreError
        If runs of one domain were scored on different cases.
    """
    order = list(order)
    trivial = plan.report.get("trivial_baselines", plan.protocol.trivial_baselines)
    try:
        parts = blocks(scores)
    except ValueError as error:
        raise StoreError(f"{error}; their data or splits differ, so report them apart") from None
    parts.sort(key=lambda block: (not block.in_domain, block.task))
    answers = spread(_numbers_of, [(block, plan, order, list(trivial)) for block in parts], len(scores))
    found = {name: [record for answer in answers for record in answer[name]] for name in NUMBERS}
    return Numbers(
        **{name: _frame(found[name]) for name in found if name != "cliques"}, cliques=found["cliques"]
    )


def metrics_in(block: Block) -> list[Metric]:
    """Return the metrics a block has scores for, in the order of tables."""
    return [
        metric
        for metric in METRICS.values()
        if metric.task.value == block.task
        and (metric.task is Task.CLASSIFICATION or metric.name in block.scores)
    ]


def _numbers_of(
    block: Block, plan: StoredPlan, order: list[Line], trivial: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the records of one block, by the frame of :class:`Numbers` that they belong to."""
    protocol = plan.protocol
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NUMBERS}
    rng = generator(protocol.seed, "report", block.task, block.domain)
    weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
    grids = lines_of(block, trivial)
    for metric in metrics_in(block):
        resampled = replicates(block, metric.name, weights, protocol.evaluation.class_threshold)
        scored = Scored(block, metric, resampled, resampled.covariance, grids)
        estimates = estimate_records(scored, protocol, order)
        comparisons: list[dict[str, Any]] = []
        if metric.name in protocol.statistics.metrics:
            comparisons = comparison_records(scored, protocol, order, test_share(plan, block.task))
            ranks, pairs, cliques = rank_records(scored, protocol, order, rng)
            found["comparisons"] += comparisons
            found["ranks"] += ranks
            found["rank_pairs"] += pairs
            found["cliques"] += cliques
            found["variance"] += variance_records(scored, order)
        against_reference(estimates, comparisons, metric, protocol)
        mark_ties(estimates, comparisons, protocol)
        found["estimates"] += estimates
    first = Scored(block, metric, resampled, resampled.covariance, grids)
    found["curves"] += curve_records(first, order)
    found["cases"] += case_records(first, order)
    return found


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return records as a frame with None, not NaN, for missing text and flags."""
    import pandas as pd

    made = pd.DataFrame(records)
    for column in _TEXT:
        if column in made:
            made[column] = made[column].astype(object)
            made[column] = made[column].where(made[column].notna(), None)
    return made
