"""External numbers beside our best ones on the same data sets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbench.analysis.analysis import Analysis
from mmbench.analysis.records import CellEstimate
from mmbench.claims.yardsticks import Yardstick
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task
from mmbench.report.text import number, plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Beside:
    """A yardstick, and our best cell of the same metric on the same data sets."""

    yardstick: Yardstick
    ours: CellEstimate


def beside_yardsticks(analysis: Analysis, yardsticks: Iterable[Yardstick]) -> list[Beside]:
    """Return the external numbers of the data sets that were trained and tested on.

    Beside each stands our best cell of the most labels; trivial baselines do not count.

    Parameters
    ----------
    analysis : Analysis
        Our numbers.
    yardsticks : iterable of Yardstick
        Theirs.
    """
    known = list(yardsticks)
    sets = {(one.task, name) for one in known for name in (one.trained_on, one.tested_on)}
    found = []
    for (task, metric, trained, tested), records in _places(analysis):
        if not {(task, trained), (task, tested)} <= sets:
            continue  # numbers of no particular data set are of these ones, too
        ours = _best(records)
        if ours is not None:
            found += [Beside(one, ours) for one in known if one.of(task, metric, trained, tested)]
    return found


def yardsticks_frame(found: Iterable[Beside]) -> pd.DataFrame:
    """Return external numbers and ours as a frame, one row each; numbers as they are printed."""
    import pandas as pd

    return pd.DataFrame(
        {
            "domain": one.ours.column.domain,
            "metric": METRICS[one.yardstick.metric].heading,
            "external": _printed(one.yardstick),
            "what": one.yardstick.model,
            "source": one.yardstick.source,
            "ours, best": number(one.ours.estimate.value),
            "interval": f"{number(one.ours.estimate.low)} to {number(one.ours.estimate.high)}"
            if one.ours.estimate.has_interval
            else "–",
            "row": f"{plain(one.ours.cell.row)} at {one.ours.cell.budgets.text}",
            "how comparable": one.yardstick.comparability,
        }
        for one in found
    )


_Place = tuple[Task, str, str, str]


def _places(analysis: Analysis) -> Iterator[tuple[_Place, list[CellEstimate]]]:
    """Yield task, metric and data sets of each column of real data, with its estimates."""
    by_place: dict[_Place, list[CellEstimate]] = {}
    for record in analysis.records.estimates:
        column = record.column
        sets = _data_sets(analysis.protocol, column.task, column.domain)
        if sets is not None and not record.cell.trivial and not math.isnan(record.estimate.value):
            by_place.setdefault((column.task, column.metric, *sets), []).append(record)
    yield from by_place.items()


def _data_sets(protocol: Protocol, task: Task, domain: str) -> tuple[str, str] | None:
    """Return the data sets that were trained and tested on; None for the phantom and other tasks."""
    source = protocol.sources.of(task)
    if protocol.classes != CLASS_NAMES and task is Task.CLASSIFICATION:
        return None
    if protocol.structures != STRUCTURE_NAMES and task is Task.SEGMENTATION:
        return None
    if source is None or source.dataset.startswith("phantom:"):
        return None
    for choice in (source, *protocol.targets.of(task)):
        if domain in (choice.name, choice.dataset) and not choice.dataset.startswith("phantom:"):
            return source.dataset, choice.dataset
    return None


def _best(records: list[CellEstimate]) -> CellEstimate | None:
    """Return the best cell of the most labels."""

    def labels(record: CellEstimate) -> float:
        budget = record.cell.budgets.of(record.column.task)
        return math.inf if budget == "full" else float(budget or 0)

    most = max(map(labels, records), default=0.0)
    sign = 1 if METRICS[records[0].column.metric].better == "higher" else -1
    return max(
        (record for record in records if labels(record) == most),
        key=lambda record: sign * record.estimate.value,
        default=None,
    )


def _printed(one: Yardstick) -> str:
    return f"{one.value:g}" if one.high is None else f"{one.value:g} to {one.high:g}"
