"""Every comparison of two rows at the same label budgets, and what it says of the estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmbench.protocol.metrics import Metric
from mmbench.protocol.schema import Protocol, Statistics
from mmbench.report.main_table import Line
from mmbench.report.scored import Scored, budget_text, line_at, margin, pairs_of
from mmbench.stats.multiplicity import holm
from mmbench.stats.paired import nadeau_bengio, rank_biserial, signed_rank_p, superiority
from mmbench.stats.verdicts import verdict


def comparison_records(
    scored: Scored, protocol: Protocol, order: Sequence[Line], test_share: float | None
) -> list[dict[str, Any]]:
    """Return one record for every two rows at every budget pair, p corrected within metric, domain, budget.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    protocol : Protocol
        Its budgets and statistics.
    order : sequence of Line
        Rows compare in this order.
    test_share : float or None
        Test cases per training case of the task's source, for Nadeau and Bengio's correction.
    """
    rows = list(dict.fromkeys(line.row for line in order if line in scored.grids and not line.trivial))
    records: list[dict[str, Any]] = []
    for pair in pairs_of(protocol):
        at = {row: line_at(scored.grids, row, pair) for row in rows}
        present = [line for line in at.values() if line is not None]
        tests = [
            compare_lines(scored, a, b, pair, protocol.statistics, test_share)
            for place, a in enumerate(present)
            for b in present[place + 1 :]
        ]
        judge(tests, scored.metric, protocol)
        records += tests
    finish_comparisons(records)
    return records


def compare_lines(
    scored: Scored,
    a: Line,
    b: Line,
    pair: tuple[str | None, str | None],
    statistics: Statistics,
    test_share: float | None,
) -> dict[str, Any]:
    """Compare two lines; p-values are not corrected yet, and :func:`finish_comparisons` comes after.

    Parameters
    ----------
    scored : Scored
        The metric on the domain.
    a, b : Line
        Compatible lines; the difference is a - b.
    pair : tuple
        The budgets (classification, segmentation) at which they meet.
    statistics : Statistics
        Gives the confidence.
    test_share : float or None
        As for :func:`comparison_records`.
    """
    found = scored.difference(a, b, statistics.confidence)
    differences = scored.values(a) - scored.values(b)
    kept = differences[np.isfinite(differences)]
    corrected = math.nan
    if test_share is not None and len(kept) > 1:
        corrected = nadeau_bengio(kept, test_share).p
    sign = 1 if scored.metric.better == "higher" else -1
    return {
        "budget": budget_text(pair),
        "budget_classification": pair[0],
        "budget_segmentation": pair[1],
        **scored.about,
        "row_a": a.row,
        "row_b": b.row,
        "estimate_a": float(np.nanmean(np.where(np.isfinite(differences), scored.values(a), np.nan)))
        if len(kept)
        else math.nan,
        "estimate_b": float(np.nanmean(np.where(np.isfinite(differences), scored.values(b), np.nan)))
        if len(kept)
        else math.nan,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "se": found.se,
        "df": found.df,
        "p": found.p,
        "trainings": found.trainings,
        "over": found.over,
        "nadeau_bengio_p": corrected,
        **_effects(scored, a, b, sign),
        "differences": kept,
    }


def _effects(scored: Scored, a: Line, b: Line, sign: int) -> dict[str, float]:
    one, other = scored.per_case(a), scored.per_case(b)
    if one is None or other is None:
        return {"superiority": math.nan, "rank_biserial": math.nan}
    difference = sign * (one - other)
    flat = difference[np.isfinite(difference)]
    if not len(flat):
        return {"superiority": math.nan, "rank_biserial": math.nan}
    paired = np.isfinite(difference).all(axis=1)
    by_case = difference[paired].mean(axis=0) if paired.any() else flat
    return {
        "superiority": superiority(flat, np.zeros_like(flat)),
        "rank_biserial": rank_biserial(by_case),
    }


def judge(tests: list[dict[str, Any]], metric: Metric, protocol: Protocol) -> None:
    """Correct the p-values of one family (Holm) and add verdicts, in place."""
    adjusted = holm(np.array([test["p"] for test in tests], dtype=float))
    count = int(np.isfinite(adjusted).sum())
    alpha = 1 - protocol.statistics.confidence
    for test, p in zip(tests, adjusted, strict=True):
        ends = (test["low"], test["high"])
        low, high = ends if metric.better == "higher" else (-ends[1], -ends[0])
        test["p_holm"], test["family"] = float(p), count
        # One training each says nothing of the methods: another seed could turn it round.
        several = test["trainings"] > 1
        size = margin(metric, protocol)
        test["verdict"] = verdict(low, high, float(p), size, alpha) if several else "undecided"


def finish_comparisons(tests: list[dict[str, Any]]) -> None:
    """Add the exact signed-rank test over trainings, in place, many at a time."""
    by_length: dict[int, list[dict[str, Any]]] = {}
    for test in tests:
        by_length.setdefault(len(test["differences"]), []).append(test)
    for length, group in by_length.items():
        if length:
            p_values = signed_rank_p(np.stack([test["differences"] for test in group]))
        else:
            p_values = np.full(len(group), np.nan)
        for test, p in zip(group, p_values, strict=True):
            test["signed_rank_p"] = float(p)
            del test["differences"]


def against_reference(
    estimates: list[dict[str, Any]],
    comparisons: Sequence[dict[str, Any]],
    metric: Metric,
    protocol: Protocol,
) -> None:
    """Add to each line's record of one metric and domain its comparison with the reference, in place.

    A line that meets several budget pairs (it learns one task of a grid) is compared at the first, where
    the reference has the fewest labels of the other task.
    """
    reference = protocol.reference_label
    tests: dict[int, dict[str, Any]] = {}
    for place, record in enumerate(estimates):
        own = (record["budget_classification"], record["budget_segmentation"])
        for test in comparisons:
            rows = (test["row_a"], test["row_b"])
            pair = (test["budget_classification"], test["budget_segmentation"])
            if {record["row"], reference} == set(rows) and all(
                budget in (None, asked) for budget, asked in zip(own, pair, strict=True)
            ):
                tests[place] = _turned(test) if rows[0] == reference else dict(test)
                break
    families: dict[Any, list[dict[str, Any]]] = {}
    for test in tests.values():
        key = test["budget"] if protocol.statistics.family == "budget" else None
        families.setdefault(key, []).append(test)
    for family in families.values():
        judge(family, metric, protocol)
    empty = dict.fromkeys(("difference", "low", "high", "p", "p_holm"), math.nan)
    for place, record in enumerate(estimates):
        test = tests.get(place, {**empty, "family": 0, "verdict": None})
        record |= {
            "difference": test["difference"],
            "difference_low": test["low"],
            "difference_high": test["high"],
            "p": test["p"],
            "p_holm": test["p_holm"],
            "family": test["family"],
            "verdict": test["verdict"],
        }


def mark_ties(
    estimates: list[dict[str, Any]], comparisons: Sequence[dict[str, Any]], protocol: Protocol
) -> None:
    """Say of each line whether Holm's tests among all pairs can tell it from the best one, in place."""
    alpha = 1 - protocol.statistics.confidence
    apart = {
        (test["budget"], row, other): test["p_holm"] < alpha
        for test in comparisons
        for row, other in ((test["row_a"], test["row_b"]), (test["row_b"], test["row_a"]))
    }
    best = [record for record in estimates if record["best"]]
    for record in estimates:
        record["tied_best"] = record["best"] or any(
            apart.get((budget_text(pair), record["row"], other["row"])) is False
            for other in best
            for pair in pairs_of(protocol)
            if _fits(record, pair) and _fits(other, pair)
        )


def _fits(record: dict[str, Any], pair: tuple[str | None, str | None]) -> bool:
    own = (record["budget_classification"], record["budget_segmentation"])
    return not record["trivial"] and all(
        budget in (None, asked) for budget, asked in zip(own, pair, strict=True)
    )


def _turned(test: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison seen from its other row."""
    return {**test, "difference": -test["difference"], "low": -test["high"], "high": -test["low"]}
