"""The primary question of a report: each row against the reference, over all label budgets.

One comparison per row, primary metric and domain; together they are one family, whatever a reader looks at.
Four fifths of the error are theirs (Holm). The remaining fifth is divided among them for the comparisons at
single budgets, which are tested only behind a primary one that is decided. Everything else is exploratory and
has no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mmbench.analysis.records import AtBudget, Primary
from mmbench.analysis.rows import Budgets, Cell, compatible
from mmbench.analysis.scored import Group, Scored, margin
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.stats.mixed import Estimate
from mmbench.stats.verdicts import Decision, decide, unchanged

PRIMARY_SHARE = 0.8
"""Of the error: what the primary comparisons spend; the rest is for single budgets behind them."""


def primary_comparisons(
    scored: Scored, protocol: Protocol, order: Sequence[Cell], collapsed: Container[str] = ()
) -> list[Primary]:
    """Estimate every row's difference from the reference; :func:`decided` adds the verdicts.

    Parameters
    ----------
    scored : Scored
        A primary metric on the domain.
    protocol : Protocol
        Its reference and statistics.
    order : sequence of Cell
        Gives the order of rows.
    collapsed : container of str
        Ids of collapsed runs; the difference is also estimated without them.
    """
    cells = [cell for cell in order if cell in scored.grids and not cell.trivial]
    reference = protocol.reference_label
    rivals = dict.fromkeys(cell.row for cell in cells if cell.row != reference)
    found = []
    others = [cell for cell in cells if cell.row == reference]
    for row in rivals:
        own = [cell for cell in cells if cell.row == row]
        found += compare_rows(scored, protocol, own, others, collapsed)
    return found


def compare_rows(
    scored: Scored,
    protocol: Protocol,
    own: Sequence[Cell],
    others: Sequence[Cell],
    collapsed: Container[str] = (),
) -> list[Primary]:
    """Compare a row's cells with another's, at the budgets where they meet; empty if they never do."""
    groups = _groups(own, others)
    if not groups:
        return []
    return [_primary(scored, protocol, own[0].row, others[0].row, groups, collapsed)]


def _groups(own: Sequence[Cell], others: Sequence[Cell]) -> dict[Budgets, Group]:
    """Pair two rows' cells by the budgets of the tasks that both learn.

    In a grid a row that learns one task meets several cells of one that learns both: their mean counts, since
    cells that share a training are no independent replications.
    """
    shared = [
        all(cell.budgets[place] is not None for cell in (*own, *others))
        for place in range(len(Budgets._fields))
    ]
    found: dict[Budgets, tuple[dict[Cell, None], dict[Cell, None]]] = {}
    for one in own:
        for other in others:
            if compatible(one, other):
                texts = [a if both else None for a, both in zip(one.budgets, shared, strict=True)]
                sides = found.setdefault(Budgets(*texts), ({}, {}))
                sides[0][one] = sides[1][other] = None
    return {key: (tuple(a), tuple(b)) for key, (a, b) in found.items()}


def _primary(
    scored: Scored,
    protocol: Protocol,
    row: str,
    reference: str,
    groups: dict[Budgets, Group],
    collapsed: Container[str],
) -> Primary:
    confidence = protocol.statistics.confidence
    runs = {run for added, taken in groups.values() for cell in (*added, *taken) for run in scored.runs(cell)}
    lost = sorted(run for run in runs if run in collapsed)
    correlation, saved = _common_luck(scored, groups.values())
    return Primary(
        column=scored.column,
        row=row,
        reference=reference,
        difference=scored.contrast(list(groups.values()), confidence),
        margin=margin(scored.metric, protocol),
        budgets=tuple(
            AtBudget(key, tuple(group[0]), scored.contrast([group], confidence))
            for key, group in groups.items()
        ),
        correlation=correlation,
        saved=saved,
        collapsed=tuple(lost),
        without_collapsed=scored.contrast(list(groups.values()), confidence, lost) if lost else None,
        withheld=_withheld(scored, groups.values()),
    )


def _common_luck(scored: Scored, groups: Iterable[Group]) -> tuple[float, float]:
    """Return the correlation between two rows' trainings, and which share of the seeds it saves.

    The variance of a difference of S pairs is (Var a + Var b - 2 Cov) / S, and without common random
    numbers (Var a + Var b) / S: they save 2 Cov / (Var a + Var b) of the seeds. Variances are within budgets.
    """
    sums = np.zeros(3)
    for added, taken in groups:
        a, b = (np.mean([scored.values(cell) for cell in cells], axis=0) for cells in (added, taken))
        both = np.isfinite(a - b)
        if both.sum() > 1:
            (own, shared), (_, other) = np.cov(a[both], b[both])
            sums += own, other, shared
    own, other, shared = map(float, sums)
    if own <= 0 or other <= 0:
        return math.nan, math.nan
    return shared / math.sqrt(own * other), 2 * shared / (own + other)


def _withheld(scored: Scored, groups: Iterable[Group]) -> str:
    """Return why no verdict can be given: leaving cases with an empty mask out rewards empty masks."""
    values = scored.block.scores.get(scored.metric.name)
    if values is None or math.isfinite(scored.metric.highest):
        return ""
    places = {
        place
        for added, taken in groups
        for cell in (*added, *taken)
        for place in scored.grids[cell].ravel().tolist()
        if place >= 0
    }
    undefined = np.isnan(values[sorted(places)])
    # A case without a mask in the reference is undefined for everyone, which favours nobody.
    if (undefined.any(axis=0) == undefined.all(axis=0)).all():
        return ""
    return "distances of empty masks are left out, which favours whoever predicts more of them"


def decided(
    records: Sequence[Primary], protocol: Protocol, *, nominal: Callable[[float], float] = unchanged
) -> tuple[Primary, ...]:
    """Return the primary comparisons of a whole report with their verdicts.

    Parameters
    ----------
    records : sequence of Primary
        All of them: they are one family.
    protocol : Protocol
        Gives the confidence.
    nominal : callable
        As for :func:`mmbench.stats.verdicts.decide`.
    """
    alpha, size = protocol.statistics.alpha, len(records)
    margins = [record.margin for record in records]
    estimates = [_oriented(record, record.difference) for record in records]
    withheld = [record.withheld for record in records]
    found = decide(estimates, margins, PRIMARY_SHARE * alpha, withheld=withheld, nominal=nominal)
    behind = (1 - PRIMARY_SHARE) * alpha / max(size, 1)
    return tuple(
        with_decision(record, _in_own_direction(record, decision), size, behind, nominal)
        for record, decision in zip(records, found, strict=True)
    )


def _in_own_direction(record: Primary, decision: Decision) -> Decision:
    return replace(decision, estimate=_oriented(record, decision.estimate))


def with_decision(
    record: Primary, decision: Decision, size: int, behind: float, nominal: Callable[[float], float]
) -> Primary:
    """Return a comparison with its verdict, and with those on single budgets behind it.

    Parameters
    ----------
    record : Primary
        The comparison.
    decision : Decision
        On it, its estimate in the metric's own direction.
    size : int
        Of the family.
    behind : float
        The error that its single budgets may spend together.
    nominal : callable
        As for :func:`mmbench.stats.verdicts.decide`.
    """
    opened = decision.verdict != "undecided"
    single = decide(
        [_oriented(record, one.difference) for one in record.budgets],
        [record.margin] * len(record.budgets),
        behind,
        nominal=nominal,
    )
    budgets = tuple(
        replace(one, difference=_oriented(record, own.estimate), verdict=own.verdict) if opened else one
        for one, own in zip(record.budgets, single, strict=True)
    )
    return replace(
        record,
        difference=decision.estimate,
        verdict=decision.verdict,
        level=decision.level,
        p_verdict=decision.p,
        family=size,
        reason=decision.reason,
        budgets=budgets,
        hangs=_hangs(record, decision),
    )


def settled(records: Iterable[Primary], factor: float) -> list[Primary]:
    """Return the undecided comparisons that ``factor`` times as many seeds of the same spread would decide.

    The differences are taken as they are, and the family's error is spent as far as it is now.
    """
    found = []
    for record in records:
        if record.verdict == "undecided" and not record.reason:
            more = _oriented(record, record.difference).after(factor)
            (then,) = decide([more], [record.margin], record.level)
            if then.verdict != "undecided":
                found.append(record)
    return found


def _hangs(record: Primary, decision: Decision) -> bool:
    """Whether the verdict would be another without collapsed runs, at the same level."""
    if record.without_collapsed is None:
        return False
    (other,) = decide([_oriented(record, record.without_collapsed)], [record.margin], decision.level)
    return other.verdict != decision.verdict


def _oriented(record: Primary, estimate: Estimate) -> Estimate:
    """Return a difference so that positive is good, or one that was so in the metric's own direction."""
    return estimate if METRICS[record.column.metric].better == "higher" else estimate.turned()
