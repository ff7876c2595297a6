"""Printed numbers beside ours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mmbench.claims.ledger import Claim
from mmbench.protocol.vocabulary import Task
from mmbench.stats.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.report.analysis import Analysis

COLUMNS = (
    "model",
    "labels",
    "metric",
    "scope",
    "our_domain",
    "ours",
    "ours_low",
    "ours_high",
    "printed",
    "printed_low",
    "printed_high",
    "printed_on",
    "source",
    "difference",
    "difference_low",
    "difference_high",
    "agreement",
)


def set_beside(analysis: Analysis, ledger: Iterable[Claim]) -> pd.DataFrame:
    """Join our estimates with printed numbers of the same method, label budgets, scope and metric.

    The printed accuracy is given Wilson's interval of its test set; the spread of other printed numbers
    is not known, and they count as exact. The difference's interval joins both.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    ledger : iterable of Claim
        What was printed.

    Returns
    -------
    DataFrame
        ``COLUMNS``; ``agreement`` is ``agrees`` where the difference's interval covers 0, else
        ``differs``, and names the data where they are not the same.
    """
    import pandas as pd

    by_key: dict[tuple[Any, ...], list[Claim]] = {}
    for claim in ledger:
        key = (
            claim.method,
            claim.budget_classification,
            claim.budget_segmentation,
            claim.scope,
            claim.metric,
        )
        by_key.setdefault(key, []).append(claim)
    rows = []
    for record in analysis.estimates.to_dict("records"):
        if record["row"] != record["method"] or math.isnan(record["estimate"]):
            continue
        key = tuple(
            record[name]
            for name in ("method", "budget_classification", "budget_segmentation", "scope", "metric")
        )
        rows += [_beside(record, claim, analysis) for claim in by_key.get(key, [])]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _beside(record: dict[Any, Any], claim: Claim, analysis: Analysis) -> dict[str, Any]:
    from scipy import stats

    confidence = analysis.protocol.statistics.confidence
    printed_low = printed_high = math.nan
    printed_variance = 0.0
    if claim.metric == "accuracy":
        interval = wilson(claim.value * claim.cases, claim.cases, confidence)
        printed_low, printed_high = interval.low, interval.high
        printed_variance = claim.value * (1 - claim.value) / claim.cases
    difference = record["estimate"] - claim.value
    low = high = math.nan
    if record["df"] > 0:
        # Square and add (Newcombe 1998): the printed number's own interval is as good as normal.
        own_half = max(record["high"] - record["estimate"], record["estimate"] - record["low"])
        printed_half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(printed_variance)
        half = math.hypot(own_half, printed_half) + claim.half_unit
        low, high = difference - half, difference + half
    agreement = "no interval" if math.isnan(low) else "agrees" if low <= 0 <= high else "differs"
    if not _same_data(analysis, record, claim):
        agreement += " (other data)"
    budgets = (record["budget_classification"], record["budget_segmentation"])
    return {
        "model": claim.model,
        "labels": "/".join(budget or "–" for budget in budgets),
        "metric": record["heading"],
        "scope": record["scope"],
        "our_domain": record["domain"],
        "ours": record["estimate"],
        "ours_low": record["low"],
        "ours_high": record["high"],
        "printed": claim.value,
        "printed_low": printed_low,
        "printed_high": printed_high,
        "printed_on": f"{claim.dataset}, {claim.cases} cases",
        "source": claim.source,
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "agreement": agreement,
    }


def _same_data(analysis: Analysis, record: dict[Any, Any], claim: Claim) -> bool:
    """Whether dataset and number of cases are the printed ones."""
    sources, targets = analysis.protocol.sources, analysis.protocol.targets
    task = Task(record["task"])
    choices = [sources.of(task)] if record["scope"] == "in-domain" else targets.of(task)
    names = {choice.dataset for choice in choices if choice is not None}
    return claim.dataset in names and record["cases"] == claim.cases
