"""Printed numbers next to ours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from mmbench.analysis.analysis import Analysis
from mmbench.analysis.records import CellEstimate
from mmbench.analysis.rows import Budgets
from mmbench.claims.ledger import Claim
from mmbench.protocol.schema import Protocol
from mmbench.stats.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PublishedComparison:
    """One of our numbers and a printed one of the same method, label budgets, scope and metric.

    Attributes
    ----------
    model, labels, metric, scope : str
        What both are of.
    our_domain, printed_on, source : str
        What either was scored on, and where the printed one stands.
    ours, ours_low, ours_high : float
        Our mean and its interval.
    printed, printed_low, printed_high : float
        The printed number; an interval only of an accuracy.
    difference, difference_low, difference_high : float
        Ours - printed.
    agreement : str
        ``compatible`` where the difference's whole interval lies within the margin of equivalence and half
        a printed digit, ``differs`` where it lies beyond, else ``too imprecise to say``; tells where data are
        not the same.
    """

    model: str
    labels: str
    metric: str
    scope: str
    our_domain: str
    ours: float
    ours_low: float
    ours_high: float
    printed: float
    printed_low: float
    printed_high: float
    printed_on: str
    source: str
    difference: float
    difference_low: float
    difference_high: float
    agreement: str


COLUMNS = tuple(field.name for field in fields(PublishedComparison))
_Key = tuple[str, Budgets, str, str]


def compare_published(analysis: Analysis, ledger: Iterable[Claim]) -> list[PublishedComparison]:
    """Join our estimates with printed numbers of the same method, label budgets, scope and metric.

    The printed accuracy is given Wilson's interval of its test set; the spread of other printed numbers
    is not known, and they count as exact. The difference's interval joins both.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    ledger : iterable of Claim
        What was printed.
    """
    by_key: dict[_Key, list[Claim]] = {}
    for claim in ledger:
        budgets = Budgets(claim.budget_classification, claim.budget_segmentation)
        by_key.setdefault((claim.method, budgets, claim.scope, claim.metric), []).append(claim)
    found = []
    for record in analysis.records.estimates:
        cell, column = record.cell, record.column
        # A row under another name has other hyper-parameters than the published method.
        if cell.row == cell.method and not math.isnan(record.estimate.value):
            key = (cell.method, cell.budgets, column.scope, column.metric)
            found += [_compared(record, claim, analysis.protocol) for claim in by_key.get(key, [])]
    return found


def published_frame(found: Iterable[PublishedComparison]) -> pd.DataFrame:
    """Return comparisons with printed numbers as a frame (``COLUMNS``)."""
    import pandas as pd

    return pd.DataFrame(map(vars, found), columns=list(COLUMNS))


def _compared(record: CellEstimate, claim: Claim, protocol: Protocol) -> PublishedComparison:
    own, confidence = record.estimate, protocol.statistics.confidence
    printed_low = printed_high = math.nan
    if claim.metric == "accuracy":
        interval = wilson(claim.value * claim.cases, claim.cases, confidence)
        printed_low, printed_high = interval.low, interval.high
    difference = own.value - claim.value
    half = _half_width(record, claim, confidence)
    agreement = _agreement(abs(difference), half, protocol.statistics.equivalence + claim.half_unit)
    if not _same_data(record, claim, protocol):
        agreement += " (other data)"
    return PublishedComparison(
        model=claim.model,
        labels=record.cell.budgets.text,
        metric=record.column.heading,
        scope=record.column.scope,
        our_domain=record.column.domain,
        ours=own.value,
        ours_low=own.low,
        ours_high=own.high,
        printed=claim.value,
        printed_low=printed_low,
        printed_high=printed_high,
        printed_on=f"{claim.dataset}, {claim.cases} cases",
        source=claim.source,
        difference=difference,
        difference_low=difference - half,
        difference_high=difference + half,
        agreement=agreement,
    )


def _agreement(difference: float, half: float, margin: float) -> str:
    if math.isnan(half):
        return "no interval"
    if difference + half <= margin:
        return "compatible"
    return "differs" if difference - half > margin else "too imprecise to say"


def _half_width(record: CellEstimate, claim: Claim, confidence: float) -> float:
    """Return half the width of the difference's interval; NaN where ours has none."""
    from scipy import stats

    own = record.estimate
    if not own.has_interval:
        return math.nan
    # Square and add (Newcombe 1998): the printed number's own interval is as good as normal.
    variance = claim.value * (1 - claim.value) / claim.cases if claim.metric == "accuracy" else 0.0
    printed_half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(variance)
    own_half = max(own.high - own.value, own.value - own.low)
    return math.hypot(own_half, printed_half)


def _same_data(record: CellEstimate, claim: Claim, protocol: Protocol) -> bool:
    """Whether dataset and number of cases are the printed ones."""
    task = record.column.task
    choices = [protocol.sources.of(task)] if record.column.in_domain else protocol.targets.of(task)
    names = {choice.dataset for choice in choices if choice is not None}
    return claim.dataset in names and record.cases == claim.cases
