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
    pairwise_t_holm,
    rank_intervals,
)


def rank_records(
    scored: Scored, protocol: Protocol, order: Sequence[Cell], rng: np.random.Generator
) -> Records:
    """Rank the rows that learn the task over the seeds of a domain.

    A block is one seed, or one labelled subset and seed where these are crossed; a row's value in it is its
    mean over label budgets. Intervals come from resampled blocks and patients.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Its budget pairs are averaged.
    order : sequence of Cell
        Gives the order of rows.
    rng : Generator
        For resampling blocks.

    Returns
    -------
    Records
        Ranks, pairs of rows and cliques; all empty with fewer than two rows or blocks.
    """
    rows = list(dict.fromkeys(cell.row for cell in order if cell in scored.grids and not cell.trivial))
    averaged = _averaged(scored, protocol, rows) if len(rows) > 1 else None
    if averaged is None:
        return Records()
    values, resampled = averaged
    whole = np.isfinite(values).all(axis=-1)
    blocks, replicates = values[whole], resampled[:, whole]
    if len(blocks) < 2:
        return Records()
    column, confidence = scored.column, protocol.statistics.confidence
    higher, alpha = column.higher_is_better, protocol.statistics.alpha
    ranks, p_values = mean_ranks(blocks, higher), pairwise_t_holm(blocks)
    drawn = rng.integers(len(blocks), size=(len(replicates), len(blocks)))
    intervals = rank_intervals(replicates[np.arange(len(replicates))[:, None], drawn], higher, confidence)
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


def _averaged(
    scored: Scored, protocol: Protocol, rows: Sequence[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return means over budget pairs by block and row, and the same with resamples in front.

    Budget pairs at which a row has no cell are left out; None where none is left.
    """
    stacks, resampled = [], []
    for pair in budget_pairs(protocol):
        cells = [cell_at(scored.grids, row, pair) for row in rows]
        present = [cell for cell in cells if cell is not None]
        if len(present) == len(rows):
            stacks.append(np.stack([scored.values(cell).ravel() for cell in present], axis=-1))
            again = [scored.resampled(cell) for cell in present]
            resampled.append(np.stack([own.reshape(len(own), -1) for own in again], axis=-1))
    return (np.mean(stacks, axis=0), np.mean(resampled, axis=0)) if stacks else None
