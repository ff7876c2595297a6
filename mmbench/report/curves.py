"""What is drawn case by case: ROC and calibration curves, and each case's mean score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmbench.report.main_table import Line
from mmbench.report.scored import Scored

FALSE_POSITIVE_RATES = np.linspace(0, 1, 41)
BINS = 10


def curve_records(scored: Scored, order: Sequence[Line]) -> list[dict[str, Any]]:
    """Return points of the ROC curve (vertical average over trainings) and of the calibration curve.

    Calibration pools the trainings' cases in ten equal-width bins of the probability of pneumonia: mean
    probability against share of pneumonia.

    Parameters
    ----------
    scored : Scored
        Any metric of the block.
    order : sequence of Line
        Gives the order of lines; trivial baselines draw no curve.
    """
    if scored.block.task != "classification":
        return []
    positive = scored.block.scores["label"][0] > 0.5
    records: list[dict[str, Any]] = []
    for line in order:
        if line not in scored.grids or line.trivial:
            continue
        places = scored.grids[line]
        probability = scored.block.scores["probability"][places[places >= 0]]
        naming = _naming(line, scored)
        if positive.any() and not positive.all():
            rates = np.mean([_hit_rates(one, positive) for one in probability], axis=0)
            records += [
                {"kind": "roc", **naming, "x": float(x), "y": float(y), "count": len(probability)}
                for x, y in zip(FALSE_POSITIVE_RATES, rates, strict=True)
            ]
        labels = np.broadcast_to(positive, probability.shape).ravel()
        flat = probability.ravel()
        member = np.minimum((flat * BINS).astype(int), BINS - 1)
        for number in np.unique(member):
            inside = member == number
            records.append(
                {
                    "kind": "calibration",
                    **naming,
                    "x": float(flat[inside].mean()),
                    "y": float(labels[inside].mean()),
                    "count": int(inside.sum()),
                }
            )
    return records


def case_records(scored: Scored, order: Sequence[Line]) -> list[dict[str, Any]]:
    """Return each case's Dice or probability of pneumonia, mean over a line's trainings; no trivial baselines."""
    block = scored.block
    column = "probability" if block.task == "classification" else "dice"
    labels = block.scores["label"][0] if "label" in block.scores else np.full(len(block.case_ids), np.nan)
    records = []
    for line in order:
        if line not in scored.grids or line.trivial:
            continue
        places = scored.grids[line]
        means = block.scores[column][places[places >= 0]].mean(axis=0)
        naming = _naming(line, scored)
        records += [
            {**naming, "case_id": case, "patient_id": patient, "label": label, "value": float(value)}
            for case, patient, label, value in zip(
                block.case_ids, block.patient_ids, labels, means, strict=True
            )
        ]
    return records


def _hit_rates(probability: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the true positive rate at each false positive rate, straight lines between thresholds."""
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits = np.concatenate([[0], np.cumsum(positive[order])[last]])
    alarms = np.concatenate([[0], np.cumsum(~positive[order])[last]])
    return np.interp(FALSE_POSITIVE_RATES, alarms / alarms[-1], hits / hits[-1])


def _naming(line: Line, scored: Scored) -> dict[str, Any]:
    return {
        "row": line.row,
        "budget_classification": line.classification,
        "budget_segmentation": line.segmentation,
        "scope": scored.about["scope"],
        "domain": scored.block.domain,
        "task": scored.block.task,
    }
