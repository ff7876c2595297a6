"""Every comparison of two rows at the same label budgets, and what it says of the estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmbench.analysis.records import Against, CellEstimate, Comparison
from mmbench.analysis.rows import Budgets, Cell, budget_pairs, cell_at
from mmbench.analysis.scored import Scored, margin
from mmbench.protocol.metrics import Metric
from mmbench.protocol.schema import Protocol, Statistics
from mmbench.stats.multiplicity import holm
from mmbench.stats.paired import nadeau_bengio, rank_biserial, signed_rank_p, superiority
from mmbench.stats.verdicts import verdict


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
        found += judged(tests, scored.metric, protocol)
    return found


def compare_cells(
    scored: Scored, a: Cell, b: Cell, pair: Budgets, statistics: Statistics, test_share: float | None
) -> Comparison:
    """Compare two cells; :func:`judged` corrects p and adds the verdict.

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
    both = np.isfinite(differences)
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


def judged(tests: Sequence[Comparison], metric: Metric, protocol: Protocol) -> list[Comparison]:
    """Return the tests of one family with p corrected (Holm) and with their verdicts.

    Parameters
    ----------
    tests : sequence of Comparison
        Corrected together.
    metric : Metric
        Its direction and range count.
    protocol : Protocol
        Gives confidence and region of practical equivalence.
    """
    adjusted = holm(np.array([test.difference.p for test in tests], dtype=float))
    count = int(np.isfinite(adjusted).sum())
    alpha, size = 1 - protocol.statistics.confidence, margin(metric, protocol)
    found = []
    for test, p in zip(tests, adjusted, strict=True):
        low, high = test.difference.low, test.difference.high
        if metric.better == "lower":
            low, high = -high, -low
        # One training each says nothing of the methods: another seed could turn it round.
        several = test.difference.trainings > 1
        word = verdict(low, high, float(p), size, alpha) if several else "undecided"
        found.append(replace(test, p_holm=float(p), family=count, verdict=word))
    return found


def against_reference(
    estimates: Sequence[CellEstimate], comparisons: Sequence[Comparison], metric: Metric, protocol: Protocol
) -> list[CellEstimate]:
    """Return the estimates of one metric and domain, each with its comparison with the reference.

    A cell that meets several budget pairs (it learns one task of a grid) is compared at the first, where
    the reference has the fewest labels of the other task.
    """
    reference = protocol.reference_label
    families: dict[Budgets | None, dict[int, Comparison]] = {}
    for place, estimate in enumerate(estimates):
        test = _with_reference(estimate.cell, comparisons, reference)
        if test is not None:
            key = test.budgets if protocol.statistics.family == "budget" else None
            families.setdefault(key, {})[place] = test
    found = list(estimates)
    for family in families.values():
        tests = judged(list(family.values()), metric, protocol)
        for place, test in zip(family, tests, strict=True):
            found[place] = replace(found[place], against=_against(test))
    return found


def _with_reference(cell: Cell, comparisons: Sequence[Comparison], reference: str) -> Comparison | None:
    """Return the first comparison of a cell with the reference, cell - reference."""
    for test in comparisons:
        if {cell.row, reference} == {test.row_a, test.row_b} and cell.budgets.meets(test.budgets):
            return _turned(test) if test.row_a == reference else test
    return None


def _against(test: Comparison) -> Against:
    own = test.difference
    return Against(own.value, own.low, own.high, own.p, test.p_holm, test.family, test.verdict)


def mark_ties(
    estimates: Sequence[CellEstimate], comparisons: Sequence[Comparison], protocol: Protocol
) -> list[CellEstimate]:
    """Return the estimates, each with whether Holm's tests of all pairs separate it from the best one."""
    alpha = 1 - protocol.statistics.confidence
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


def _turned(test: Comparison) -> Comparison:
    """Return a comparison with its difference turned round, which is all that :class:`Against` takes."""
    own = test.difference
    return replace(test, difference=replace(own, value=-own.value, low=-own.high, high=-own.low))
