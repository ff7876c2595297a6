"""Every line's mean with its interval, beside trivial baseline, ceiling and the best line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.report.main_table import Line
from mmbench.report.scored import Scored, compatible, line_at
from mmbench.stats.mixed import Estimate


def estimate_records(scored: Scored, protocol: Protocol, order: Sequence[Line]) -> list[dict[str, Any]]:
    """Return one record per line: estimate, interval, trivial baseline, ceiling, best; comparisons come after."""
    sign = 1 if scored.metric.better == "higher" else -1
    confidence = protocol.statistics.confidence
    lines = [line for line in order if line in scored.grids]
    found = {line: scored.estimate(line, confidence) for line in lines}
    records = []
    for line in lines:
        own = found[line]
        trivial = _trivial(line, found, Task(scored.block.task), sign)
        ceiling = line_at(lines, line.row, ("full", "full"))
        rivals = [found[other].value for other in lines if not other.trivial and compatible(line, other)]
        bound = own.low if sign > 0 else own.high
        records.append(
            {
                **_naming(line),
                **scored.about,
                **_uncertainty(own),
                "sd": _deviation(scored.values(line)),
                "cases": len(scored.block.case_ids),
                "patients": scored.block.patient_count,
                "runs": _runs(scored, line),
                "trivial_value": trivial,
                "clears_trivial": None
                if line.trivial or math.isnan(trivial) or math.isnan(bound)
                else bool(sign * bound > sign * trivial),
                "ceiling": math.nan if ceiling is None or line.trivial else found[ceiling].value,
                "best": not line.trivial
                and not math.isnan(own.value)
                and sign * own.value
                >= max((sign * v for v in rivals if not math.isnan(v)), default=math.inf),
            }
        )
    return records


def _trivial(line: Line, found: dict[Line, Estimate], task: Task, sign: int) -> float:
    values = [
        estimate.value
        for other, estimate in found.items()
        if other.trivial
        and other.budget(task) in (None, line.budget(task))
        and not math.isnan(estimate.value)
    ]
    return max(values, key=lambda value: sign * value, default=math.nan)


def _naming(line: Line) -> dict[str, Any]:
    return {
        "row": line.row,
        "method": line.method,
        "trivial": line.trivial,
        "budget_classification": line.classification,
        "budget_segmentation": line.segmentation,
    }


def _uncertainty(estimate: Estimate) -> dict[str, Any]:
    found = asdict(estimate)
    return {"estimate": found.pop("value"), **{key: found[key] for key in found if key != "p"}}


def _deviation(values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan


def _runs(scored: Scored, line: Line) -> str:
    places = scored.grids[line]
    return " ".join(scored.block.trainings["run"].iloc[places[places >= 0]])
