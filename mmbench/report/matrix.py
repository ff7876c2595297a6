"""What holds across the matrix of budgets and trainings: ranks, cliques and the variance budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmbench.protocol.schema import Protocol
from mmbench.report.main_table import Line
from mmbench.report.scored import Scored, line_at, pairs_of
from mmbench.stats.ranks import (
    cliques,
    friedman,
    letters,
    mean_ranks,
    pairwise_wilcoxon_holm,
    rank_intervals,
)
from mmbench.stats.variance import variance_budget

Records = list[dict[str, Any]]


def rank_records(
    scored: Scored, protocol: Protocol, order: Sequence[Line], rng: np.random.Generator
) -> tuple[Records, Records, Records]:
    """Rank the rows that learn the task over all trainings of a domain.

    A block is one training situation: budget pair, labelled subset and seed. Intervals come from resampled
    subsets, seeds and patients.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Its budget pairs are blocks.
    order : sequence of Line
        Gives the order of rows.
    rng : Generator
        For resampling subsets and seeds.

    Returns
    -------
    tuple of list of dict
        Rows with their mean ranks, pairs of rows with p-values, and cliques; all empty with fewer than
        two rows or blocks.
    """
    rows = list(dict.fromkeys(line.row for line in order if line in scored.grids and not line.trivial))
    if len(rows) < 2:
        return [], [], []
    stacks, resampled = [], []
    for pair in pairs_of(protocol):
        lines = [line_at(scored.grids, row, pair) for row in rows]
        if any(line is None for line in lines):
            continue
        present = [line for line in lines if line is not None]
        stacks.append(np.stack([scored.values(line) for line in present], axis=-1))
        resampled.append(np.stack([scored.resampled(line) for line in present], axis=-1))
    if not stacks:
        return [], [], []
    values = np.stack(stacks)  # budget pairs, subsets, seeds, rows
    whole = np.isfinite(values).all(axis=-1)
    blocks = values[whole]
    if len(blocks) < 2:
        return [], [], []
    higher = scored.metric.better == "higher"
    ranks, p_values = mean_ranks(blocks, higher), pairwise_wilcoxon_holm(blocks)
    alpha = 1 - protocol.statistics.confidence
    intervals = rank_intervals(
        _redrawn(np.stack(resampled, axis=1), whole, rng), higher, protocol.statistics.confidence
    )
    about = scored.about
    groups = letters(ranks, p_values, alpha)
    overall = friedman(blocks, higher).p if len(rows) > 2 else math.nan
    table = [
        {
            **about,
            "row": row,
            "mean_rank": float(ranks[place]),
            "low": float(intervals[place, 0]),
            "high": float(intervals[place, 1]),
            "group": groups[place],
            "blocks": len(blocks),
            "friedman_p": overall,
        }
        for place, row in enumerate(rows)
    ]
    pairs = [
        {**about, "row_a": rows[a], "row_b": rows[b], "p_holm": float(p_values[a, b])}
        for a, b in itertools.combinations(range(len(rows)), 2)
    ]
    together = [
        {**about, "rows": [rows[place] for place in clique]} for clique in cliques(ranks, p_values, alpha)
    ]
    return table, pairs, together


def _redrawn(values: np.ndarray, whole: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample subsets and seeds of (resamples, pairs, subsets, seeds, rows) -> (resamples, blocks, rows)."""
    count, pairs, subsets, seeds, rows = values.shape
    if whole.all():
        drawn = rng.integers(subsets, size=(count, subsets))
        seeded = rng.integers(seeds, size=(count, seeds))
        each = np.arange(count)[:, None, None]
        values = np.moveaxis(values, 1, 3)[each, drawn[:, :, None], seeded[:, None, :]]
        return values.reshape(count, subsets * seeds * pairs, rows)
    blocks = values[:, whole]
    chosen = rng.integers(blocks.shape[1], size=(count, blocks.shape[1]))
    return blocks[np.arange(count)[:, None], chosen]


def variance_records(scored: Scored, order: Sequence[Line]) -> Records:
    """Return the components of each line's variance, one record per line and component."""
    records = []
    for line in order:
        if line not in scored.grids or line.trivial:
            continue
        budget = variance_budget(scored.values(line), scored.resampled(line))
        total = sum(value for value in budget.components.values() if not math.isnan(value))
        records += [
            {
                "row": line.row,
                "budget_classification": line.classification,
                "budget_segmentation": line.segmentation,
                **scored.about,
                "component": name,
                "variance": value,
                "sd": math.sqrt(value) if value >= 0 else math.nan,
                "share": value / total if total > 0 else math.nan,
            }
            for name, value in budget.components.items()
        ]
    return records
