"""How rows rank over the trainings of a domain, and which ranks a test separates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from mmbench.analysis.records import Clique, MeanRank, RankPair, Records
from mmbench.analysis.rows import Cell, budget_pairs, cell_at
from mmbench.analysis.scored import Scored
from mmbench.protocol.schema import Protocol
from mmbench.stats.ranks import (
    cliques,
    friedman,
    letters,
    mean_ranks,
    pairwise_wilcoxon_holm,
    rank_intervals,
)


def rank_records(
    scored: Scored, protocol: Protocol, order: Sequence[Cell], rng: np.random.Generator
) -> Records:
    """Rank the rows that learn the task over all trainings of a domain.

    A block is one training situation: budget pair, labelled subset and seed. Intervals come from resampled
    subsets, seeds and patients.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Its budget pairs are blocks.
    order : sequence of Cell
        Gives the order of rows.
    rng : Generator
        For resampling subsets and seeds.

    Returns
    -------
    Records
        Ranks, pairs of rows and cliques; all empty with fewer than two rows or blocks.
    """
    rows = list(dict.fromkeys(cell.row for cell in order if cell in scored.grids and not cell.trivial))
    stacked = _stacked(scored, protocol, rows) if len(rows) > 1 else None
    if stacked is None:
        return Records()
    values, resampled = stacked
    whole = np.isfinite(values).all(axis=-1)
    blocks = values[whole]
    if len(blocks) < 2:
        return Records()
    column, confidence = scored.column, protocol.statistics.confidence
    higher, alpha = column.higher_is_better, 1 - confidence
    ranks, p_values = mean_ranks(blocks, higher), pairwise_wilcoxon_holm(blocks)
    intervals = rank_intervals(_redrawn(resampled, whole, rng), higher, confidence)
    groups = letters(ranks, p_values, alpha)
    overall = friedman(blocks, higher).p if len(rows) > 2 else math.nan
    return Records(
        ranks=tuple(
            MeanRank(column, row, float(rank), float(low), float(high), group, len(blocks), overall)
            for row, rank, (low, high), group in zip(rows, ranks, intervals, groups, strict=True)
        ),
        rank_pairs=tuple(
            RankPair(column, rows[a], rows[b], float(p_values[a, b]))
            for a, b in itertools.combinations(range(len(rows)), 2)
        ),
        cliques=tuple(
            Clique(column, tuple(rows[place] for place in clique))
            for clique in cliques(ranks, p_values, alpha)
        ),
    )


def _stacked(scored: Scored, protocol: Protocol, rows: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return values by budget pair, subset, seed and row, and the same with resamples in front.

    Budget pairs at which a row has no cell are left out; None where none is left.
    """
    stacks, resampled = [], []
    for pair in budget_pairs(protocol):
        cells = [cell_at(scored.grids, row, pair) for row in rows]
        present = [cell for cell in cells if cell is not None]
        if len(present) == len(rows):
            stacks.append(np.stack([scored.values(cell) for cell in present], axis=-1))
            resampled.append(np.stack([scored.resampled(cell) for cell in present], axis=-1))
    return (np.stack(stacks), np.stack(resampled, axis=1)) if stacks else None


def _redrawn(values: np.ndarray, whole: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample subsets and seeds of (resamples, pairs, subsets, seeds, rows) -> (resamples, blocks, rows)."""
    count, pairs, subsets, seeds, rows = values.shape
    if whole.all():
        # Each factor is drawn by itself and applied to all levels of the other, as trainings are crossed.
        drawn = rng.integers(subsets, size=(count, subsets))
        seeded = rng.integers(seeds, size=(count, seeds))
        each = np.arange(count)[:, None, None]
        values = np.moveaxis(values, 1, 3)[each, drawn[:, :, None], seeded[:, None, :]]
        return values.reshape(count, subsets * seeds * pairs, rows)
    # With gaps there is no crossed grid left: blocks themselves are drawn.
    blocks = values[:, whole]
    chosen = rng.integers(blocks.shape[1], size=(count, blocks.shape[1]))
    return blocks[np.arange(count)[:, None], chosen]
