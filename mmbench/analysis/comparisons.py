"""Every comparison of two rows at the same label budgets, and what it says of the estimates.

Exploratory: p is corrected, but verdicts are given by :mod:`mmbench.analysis.primary` alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmbench.analysis.records import Against, CellEstimate, Comparison, Primary
from mmbench.analysis.rows import Budgets, Cell, budget_pairs, cell_at
from mmbench.analysis.scored import Scored
from mmbench.protocol.schema import Protocol, Statistics
from mmbench.stats.mixed import complete_part
from mmbench.stats.multiplicity import holm
from mmbench.stats.paired import nadeau_bengio, rank_biserial, signed_rank_p, superiority


def compare_all(
    scored: Scored, protocol: Protocol, order: Sequence[Cell], test_share: float | None
) -> list[Comparison]:
    """Compare every two rows at every budget pair; p is corrected within metric, domain and budget pair.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Its budgets and statistics.
    order : sequence of Cell
        Rows compare in this order.
    test_share : float or None
        Test cases per training case of the task's source, for Nadeau and Bengio's correction.
    """
    rows = list(dict.fromkeys(cell.row for cell in order if cell in scored.grids and not cell.trivial))
    found: list[Comparison] = []
    for pair in budget_pairs(protocol):
        cells = [cell_at(scored.grids, row, pair) for row in rows]
        present = [cell for cell in cells if cell is not None]
        tests = [
            compare_cells(scored, a, b, pair, protocol.statistics, test_share)
            for place, a in enumerate(present)
            for b in present[place + 1 :]
        ]
        found += corrected(tests)
    return found


def compare_cells(
    scored: Scored, a: Cell, b: Cell, pair: Budgets, statistics: Statistics, test_share: float | None
) -> Comparison:
    """Compare two cells; :func:`corrected` corrects p.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    a, b : Cell
        Compatible cells; the difference is a - b.
    pair : Budgets
        The budgets at which they meet.
    statistics : Statistics
        Gives the confidence.
    test_share : float or None
        As for :func:`compare_all`.
    """
    differences = scored.values(a) - scored.values(b)
    # The means, the tests and the estimate are of the same trainings.
    both = np.zeros(differences.shape, dtype=bool)
    both[np.ix_(*complete_part(differences))] = True
    kept = differences[both]
    corrected = math.nan
    if test_share is not None and len(kept) > 1:
        corrected = nadeau_bengio(kept, test_share).p
    means = [float(scored.values(cell)[both].mean()) if len(kept) else math.nan for cell in (a, b)]
    better, correlation = _effects(scored, a, b)
    return Comparison(
        column=scored.column,
        budgets=pair,
        row_a=a.row,
        row_b=b.row,
        estimate_a=means[0],
        estimate_b=means[1],
        difference=scored.difference(a, b, statistics.confidence),
        nadeau_bengio_p=corrected,
        superiority=better,
        rank_biserial=correlation,
        signed_rank_p=float(signed_rank_p(kept[None])[0]),
    )


def _effects(scored: Scored, a: Cell, b: Cell) -> tuple[float, float]:
    """Return the probability that a is better, and the rank-biserial correlation over cases."""
    one, other = scored.per_case(a), scored.per_case(b)
    if one is None or other is None:
        return math.nan, math.nan
    difference = scored.column.sign * (one - other)
    flat = difference[np.isfinite(difference)]
    if not len(flat):
        return math.nan, math.nan
    # Cases, not trainings, are ranked: a case's difference is its mean over the trainings that both have.
    paired = np.isfinite(difference).all(axis=1)
    by_case = difference[paired].mean(axis=0) if paired.any() else flat
    return superiority(flat, np.zeros_like(flat)), rank_biserial(by_case)


def corrected(tests: Sequence[Comparison]) -> list[Comparison]:
    """Return the tests of one family with p corrected (Holm)."""
    adjusted = holm(np.array([test.difference.p for test in tests], dtype=float))
    return [
        replace(test, p_holm=float(p), family=len(tests)) for test, p in zip(tests, adjusted, strict=True)
    ]


def against_reference(
    estimates: Sequence[CellEstimate], comparisons: Sequence[Comparison], protocol: Protocol
) -> list[CellEstimate]:
    """Return the estimates of one metric and domain, each with its comparison with the reference.

    A cell that meets several budget pairs (it learns one task of a grid) is compared at the first, where
    the reference has the fewest labels of the other task.
    """
    reference = protocol.reference_label
    tests = {
        place: test
        for place, estimate in enumerate(estimates)
        if (test := _with_reference(estimate.cell, comparisons, reference)) is not None
    }
    found = list(estimates)
    for place, test in zip(tests, corrected(list(tests.values())), strict=True):
        own = test.difference
        against = Against(own.value, own.low, own.high, own.p, test.p_holm, test.family)
        found[place] = replace(found[place], against=against)
    return found


def _with_reference(cell: Cell, comparisons: Sequence[Comparison], reference: str) -> Comparison | None:
    """Return the first comparison of a cell with the reference, cell - reference."""
    for test in comparisons:
        if {cell.row, reference} == {test.row_a, test.row_b} and cell.budgets.meets(test.budgets):
            turned = replace(test, difference=test.difference.turned())
            return turned if test.row_a == reference else test
    return None


def with_verdicts(estimates: Sequence[CellEstimate], primary: Sequence[Primary]) -> tuple[CellEstimate, ...]:
    """Return the estimates with the verdicts on their budgets, as far as these were tested."""
    tested = {
        (cell, record.column): one
        for record in primary
        for one in record.budgets
        for cell in one.cells
        if one.verdict is not None
    }
    found = []
    for estimate in estimates:
        one = tested.get((estimate.cell, estimate.column))
        if one is not None and estimate.against is not None:
            own = one.difference
            against = replace(
                estimate.against, difference=own.value, low=own.low, high=own.high, verdict=one.verdict
            )
            estimate = replace(estimate, against=against)
        found.append(estimate)
    return tuple(found)


def mark_ties(
    estimates: Sequence[CellEstimate], comparisons: Sequence[Comparison], protocol: Protocol
) -> list[CellEstimate]:
    """Return the estimates, each with whether Holm's tests of all pairs separate it from the best one."""
    alpha = protocol.statistics.alpha
    significant = {
        (test.budgets, *rows): test.p_holm < alpha
        for test in comparisons
        for rows in ((test.row_a, test.row_b), (test.row_b, test.row_a))
    }
    pairs = budget_pairs(protocol)
    best = [estimate.cell for estimate in estimates if estimate.best]
    return [
        replace(
            estimate,
            tied_best=estimate.best
            or any(
                significant.get((pair, estimate.cell.row, other.row)) is False
                for other in best
                for pair in pairs
                if _meets(estimate.cell, pair) and _meets(other, pair)
            ),
        )
        for estimate in estimates
    ]


def _meets(cell: Cell, pair: Budgets) -> bool:
    return not cell.trivial and cell.budgets.meets(pair)
