"""Every number of a report, computed once: tables, figures and pages only show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmbench.analysis.collapsed import Collapsed, collapsed_runs
from mmbench.analysis.comparisons import against_reference, compare_all, mark_ties, with_verdicts
from mmbench.analysis.convergence import Convergence, convergence
from mmbench.analysis.curves import case_means, curves_of
from mmbench.analysis.estimates import cell_estimates
from mmbench.analysis.facts import Facts, RowCost, RunRow, facts_of, row_costs, run_rows
from mmbench.analysis.families import FamilyBest, strongest
from mmbench.analysis.frames import Frames, frames_of
from mmbench.analysis.matrix import Matrix, stored_matrix
from mmbench.analysis.parallel import in_parallel
from mmbench.analysis.primary import decided, primary_comparisons
from mmbench.analysis.ranks import rank_records
from mmbench.analysis.records import Primary, Records
from mmbench.analysis.results import Results, read_results
from mmbench.analysis.rows import Cell
from mmbench.analysis.scored import grids_of, score
from mmbench.analysis.sequential import with_looks
from mmbench.analysis.tuning import TuningRow, tuning_of
from mmbench.analysis.variance import variance_parts
from mmbench.errors import StoreError
from mmbench.protocol.metrics import Metric, declared, metrics_of
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import generator
from mmbench.stats.blocks import Block, blocks
from mmbench.stats.resampling import patient_weights
from mmbench.store.looks import Looks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Question:
    """What is asked of per-case scores.

    Attributes
    ----------
    protocol : Protocol
        Its metric policy and statistics count.
    order : tuple of Cell
        The order of cells in every record.
    trivial : frozenset of str
        The rows that are constant predictors.
    test_shares : mapping of Task to float
        Test cases per training case of each task's source, as far as the plan says.
    collapsed : frozenset of str
        Ids of runs that did not learn.
    looks : Looks or None
        Of a group-sequential run: verdicts fall at looks alone.
    """

    protocol: Protocol
    order: tuple[Cell, ...]
    trivial: frozenset[str]
    test_shares: Mapping[Task, float | None]
    collapsed: frozenset[str] = frozenset()
    looks: Looks | None = None


@dataclass(frozen=True)
class Analysis(Frames):
    """What a results folder says: records, and the frames of :class:`mmbench.analysis.frames.Frames`.

    Attributes
    ----------
    protocol : Protocol
        What was asked for.
    matrix : Matrix
        Means and deviations over trainings in the publication's layout.
    facts : Facts
        Leaks, notes, environments and warnings.
    collapsed : tuple of Collapsed
        Runs that did not learn.
    convergence : tuple of Convergence
        What each row still gained at the end of its trainings.
    rows : tuple of RowCost
        One per row: tasks, parameters, time and memory.
    runs : tuple of RunRow
        One per planned run.
    families : tuple of FamilyBest
        The strongest row of each family.
    tuning : tuple of TuningRow
        What tuning chose; empty where there was none.
    records : Records
        What the frames are made of.
    scores : DataFrame
        Every per-case score, as :func:`mmbench.store.frames.load_scores` makes it.
    """

    protocol: Protocol
    matrix: Matrix
    facts: Facts
    collapsed: tuple[Collapsed, ...]
    convergence: tuple[Convergence, ...]
    rows: tuple[RowCost, ...]
    runs: tuple[RunRow, ...]
    families: tuple[FamilyBest, ...]
    tuning: tuple[TuningRow, ...]
    records: Records
    scores: pd.DataFrame

    @property
    def without_scores(self) -> Analysis:
        """The same without per-case scores, most of what would travel to another process."""
        return replace(self, scores=self.scores.iloc[:0])


def analyse(results: Results | Path) -> Analysis | None:
    """Compute every number of a results folder's report.

    Parameters
    ----------
    results : Results or Path
        The folder ``results/<protocol>``, or what was read of it.

    Returns
    -------
    Analysis or None
        None when no run of the plan is finished.

    Raises
    ------
    StoreError
        If there is no plan, or a record is damaged.
    """
    if not isinstance(results, Results):
        results = read_results(results)
    if not results.available:
        return None
    matrix = stored_matrix(results)
    collapsed = collapsed_of(results)
    records = compute(results.scores, question_of(results, matrix, collapsed))
    runs = run_rows(results)
    rows, converged = row_costs(results, runs), convergence_of(results)
    return Analysis(
        **vars(frames_of(records)),
        protocol=results.protocol,
        matrix=matrix,
        facts=facts_of(results, records.estimates),
        collapsed=tuple(collapsed),
        convergence=tuple(converged),
        rows=rows,
        runs=runs,
        families=tuple(strongest(rows, converged, results.trivial, len(results.protocol.tasks))),
        tuning=tuning_of(results),
        records=records,
        scores=results.scores,
    )


def collapsed_of(results: Results) -> list[Collapsed]:
    """Return the runs of a results folder that did not learn."""
    changes = {id: facts.loss_change for id, facts in results.facts.items()}
    return collapsed_runs(results.summaries, results.protocol, results.trivial, changes)


def convergence_of(results: Results) -> list[Convergence]:
    """Return what each row of a results folder still gained at the end of its trainings."""
    validated = {id: (facts.validation, facts.last_gain) for id, facts in results.facts.items()}
    return convergence(results.runs, validated, results.protocol)


def question_of(results: Results, matrix: Matrix, collapsed: Sequence[Collapsed] = ()) -> Question:
    """Return what a results folder's own protocol asks."""
    shares = {task: results.test_share(task) for task in Task}
    lost = frozenset(one.run for one in collapsed)
    return Question(results.protocol, matrix.cells, results.trivial, shares, lost, results.looks)


def compute(scores: pd.DataFrame, question: Question) -> Records:
    """Compute every estimate and comparison from per-case scores.

    Parameters
    ----------
    scores : DataFrame
        As :func:`mmbench.store.frames.load_scores` makes it.
    question : Question
        What is asked.

    Raises
    ------
    StoreError
        If runs of one domain were scored on different cases.
    """
    parts = _blocks(scores)
    found = Records.joined(in_parallel(_records_of, [(block, question) for block in parts], len(scores)))
    # One family over all blocks, so verdicts come last.
    protocol, looks = question.protocol, question.looks
    primary = (
        decided(found.primary, protocol) if looks is None else with_looks(found.primary, protocol, looks)
    )
    return replace(found, primary=primary, estimates=with_verdicts(found.estimates, primary))


def primary_of(results: Results) -> list[Primary]:
    """Return every primary comparison of a results folder, without verdicts.

    Raises
    ------
    StoreError
        If runs of one domain were scored on different cases.
    """
    question = question_of(results, stored_matrix(results), collapsed_of(results))
    protocol, found = results.protocol, list[Primary]()
    for block in _blocks(results.scores):
        _, weights, grids = _prepared(block, question)
        for metric in metrics_in(block, protocol):
            if metric.name in protocol.statistics.primary:
                scored = score(block, metric, weights, protocol, grids)
                found += primary_comparisons(scored, protocol, question.order, question.collapsed)
    return found


def _blocks(scores: pd.DataFrame) -> list[Block]:
    """Cut scores into blocks, in-domain first."""
    try:
        parts = blocks(scores)
    except ValueError as error:
        raise StoreError(f"{error}; their data or splits differ, so report them apart") from None
    return sorted(parts, key=lambda block: (not block.in_domain, block.task))


def metrics_in(block: Block, protocol: Protocol) -> list[Metric]:
    """Return the protocol's metrics that a block has scores for, in the order of tables."""
    others = declared()  # of plugins, which may be installed since
    return [
        metric
        for metric in metrics_of(protocol.classes, protocol.structures).values()
        if metric.task.value == block.task
        and (metric.name in block.scores or (metric.task is Task.CLASSIFICATION and metric not in others))
    ]


def _records_of(block: Block, question: Question) -> Records:
    """Return the records of one block."""
    order = question.order
    rng, weights, grids = _prepared(block, question)
    parts = [
        _measured(block, metric, weights, grids, question, rng)
        for metric in metrics_in(block, question.protocol)
    ]
    cases = Records(
        curves=tuple(curves_of(block, grids, order)), cases=tuple(case_means(block, grids, order))
    )
    return Records.joined([*parts, cases])


def _prepared(
    block: Block, question: Question
) -> tuple[np.random.Generator, np.ndarray, dict[Cell, np.ndarray]]:
    """Return a block's random stream, its resampled patients, and its cells with their trainings."""
    protocol = question.protocol
    rng = generator(protocol.seed, "report", block.task, block.domain)
    # One set of resampled patients for all metrics and cells, so that differences are paired.
    weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
    return rng, weights, grids_of(block, question.trivial, crossed=protocol.crossed)


def _measured(
    block: Block,
    metric: Metric,
    weights: np.ndarray,
    grids: dict[Cell, np.ndarray],
    question: Question,
    rng: np.random.Generator,
) -> Records:
    """Return the records of one metric on one block."""
    protocol, order = question.protocol, question.order
    scored = score(block, metric, weights, protocol, grids)
    estimates = cell_estimates(scored, protocol, order)
    if metric.name not in protocol.compared_metrics:
        return Records(estimates=tuple(mark_ties(estimates, (), protocol)))
    comparisons = compare_all(scored, protocol, order, question.test_shares[Task(block.task)])
    estimates = against_reference(estimates, comparisons, protocol)
    ranked = rank_records(scored, protocol, order, rng)
    primary: list[Primary] = []
    if metric.name in protocol.statistics.primary:
        primary = primary_comparisons(scored, protocol, order, question.collapsed)
    return replace(
        ranked,
        estimates=tuple(mark_ties(estimates, comparisons, protocol)),
        primary=tuple(primary),
        comparisons=tuple(comparisons),
        variance=tuple(variance_parts(scored, order)),
    )
