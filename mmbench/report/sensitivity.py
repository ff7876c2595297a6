"""Which verdicts against the reference depend on choices that papers leave out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy
from mmbench.store.frames import load_results
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.report.analysis import Analysis

COLUMNS = (
    "policy",
    "row",
    "labels",
    "metric",
    "domain",
    "verdict",
    "difference",
    "other_verdict",
    "other_difference",
)
CLASS_THRESHOLDS = (0.3, 0.4, 0.6, 0.7)
MASK_THRESHOLDS = (0.3, 0.7)
SPACINGS = (0.5, 2.0)
NOT_KEPT = "masks were not kept: only class thresholds were tried; run with keep: [masks] for the others"


def sensitivity(results: Path, analysis: Analysis) -> tuple[pd.DataFrame, list[str]]:
    """Score a results folder again under other metric policies and compare the verdicts.

    Thresholds of class and mask, the rule for a single empty mask, surfaces of eight instead of four
    neighbours, and spacings (of which only NSD depends: every other distance and its margin scale
    alike).

    Parameters
    ----------
    results : Path
        The results folder; masks must have been kept for all but class thresholds.
    analysis : Analysis
        Its numbers under the policy of the run.

    Returns
    -------
    tuple
        A line per verdict that flips (``COLUMNS``), and what was tried, in words.
    """
    import pandas as pd

    from mmbench.report.analysis import compare

    store = ResultStore(results)
    plan, scores = store.load_plan(), load_results(results)
    found, tried = [], []
    for name, policy, frame in _policies(store, scores, plan.protocol.evaluation):
        if frame is None:
            tried.append(NOT_KEPT)
            continue
        tried.append(name)
        protocol = plan.protocol.model_copy(update={"evaluation": policy})
        other = compare(frame, plan.model_copy(update={"protocol": protocol}), analysis.table.lines)
        found += _flips(name, analysis.estimates, other.estimates)
    return pd.DataFrame(found, columns=list(COLUMNS)), list(dict.fromkeys(tried))


def _policies(
    store: ResultStore, scores: pd.DataFrame, policy: MetricPolicy
) -> Iterator[tuple[str, MetricPolicy, pd.DataFrame | None]]:
    classes = scores[scores["task"] == "classification"]
    for threshold in CLASS_THRESHOLDS:
        if len(classes):
            other = policy.model_copy(update={"class_threshold": threshold})
            predicted = (classes["probability"] >= threshold).astype("int64")
            frame = classes.assign(predicted=predicted, correct=predicted == classes["label"])
            yield f"class threshold {threshold:g}", other, frame
    masks = scores[scores["task"] == "segmentation"]
    if not len(masks):
        return
    changes: list[tuple[str, dict[str, Any], int]] = [
        (f"mask threshold {value:g}", {"mask_threshold": value}, 4) for value in MASK_THRESHOLDS
    ]
    empty = "nan" if policy.empty_distance == "diagonal" else "diagonal"
    changes += [
        (f"a single empty mask: distance {empty}", {"empty_distance": empty}, 4),
        ("surfaces of 8 neighbours", {}, 8),
        *((f"spacing {value:g}", {"spacing": value}, 4) for value in SPACINGS),
    ]
    for name, change, neighbours in changes:
        other = policy.model_copy(update=change)
        yield name, other, _scored_again(store, masks, other, neighbours)


def _scored_again(
    store: ResultStore, scores: pd.DataFrame, policy: MetricPolicy, neighbours: int
) -> pd.DataFrame | None:
    """Return the segmentation scores under a policy; None where a run's masks were not kept."""
    import pandas as pd

    frames = []
    for run, own in scores.groupby("run", sort=False):
        masks = store.masks(str(run))
        for domain, part in own.groupby("domain", sort=False):
            if domain not in masks:
                return None
            predicted, truth = masks[str(domain)]
            called = predicted >= np.ceil(policy.mask_threshold * 65536)
            rows = [
                segmentation_scores(one, other, policy, neighbours)
                for one, other in zip(called, truth, strict=True)
            ]
            again = pd.DataFrame(rows, index=part.index)
            frames.append(part.assign(**{name: again[name] for name in again.columns}))
    return pd.concat(frames)


def _flips(policy: str, before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["row", "budget_classification", "budget_segmentation", "domain", "metric"]
    known = {tuple(record[key] for key in keys): record for record in before.to_dict("records")}
    found = []
    for record in after.to_dict("records"):
        old = known[tuple(record[key] for key in keys)]
        if old["verdict"] == record["verdict"]:
            continue
        budgets = (record["budget_classification"], record["budget_segmentation"])
        found.append(
            {
                "policy": policy,
                "row": record["row"],
                "labels": "/".join(budget or "–" for budget in budgets),
                "metric": record["metric"],
                "domain": record["domain"],
                "verdict": old["verdict"],
                "difference": old["difference"],
                "other_verdict": record["verdict"],
                "other_difference": record["difference"],
            }
        )
    return found
