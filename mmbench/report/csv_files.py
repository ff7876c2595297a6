"""Tables as CSV that a spreadsheet can open safely."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.analysis.facts import RowCost
from mmbench.analysis.frames import cell_row
from mmbench.analysis.tuning import FEWER, TuningRow
from mmbench.protocol.metrics import MAIN_METRIC
from mmbench.report.table import Table
from mmbench.report.text import number, plain

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.analysis.analysis import Analysis


def csv_text(text: str) -> str:
    """Return text on one line, with what a spreadsheet would run as a formula made text."""
    text = plain(text)
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def csv_table(frame: pd.DataFrame) -> str:
    """Return a frame as CSV, its text on one line and safe in a spreadsheet."""
    frame = frame.rename(columns=csv_text)
    for name in frame.columns:
        frame[name] = [csv_text(value) if isinstance(value, str) else value for value in frame[name]]
    return str(frame.to_csv(index=False, lineterminator="\n"))


def wide_frame(table: Table) -> pd.DataFrame:
    """Return one row per cell, unrounded: names, budgets, then the numbers of every column."""
    import pandas as pd

    rows = []
    for line in table.lines:
        row = cell_row(line.cell)
        if table.with_trainings:
            row |= {"trainings": line.trainings.found, "planned": line.trainings.planned}
        for column, entry in zip(table.columns, line.entries, strict=True):
            head = f"{column.scope} {column.domain} {column.metric}"
            row |= {f"{head} {name}": getattr(entry, name) for name in table.numbers}
        rows.append(row)
    return pd.DataFrame(rows)


def rows_frame(records: Iterable[RowCost]) -> pd.DataFrame:
    """Return one row per row of the benchmark: what it learns, sees and costs."""
    import pandas as pd

    names = [field.name for field in fields(RowCost)]
    return pd.DataFrame([asdict(record) for record in records], columns=names)


def families_frame(analysis: Analysis) -> pd.DataFrame:
    """Return the strongest row of each family, after the reference, with its main metric.

    One column per domain and pair of label budgets; the mean with its interval, as text.
    """
    import pandas as pd

    reference = analysis.protocol.reference_label
    chosen = [
        (one.family, one.row, ", tied with ".join([str(one.rows), *one.tied]))
        for one in analysis.families
        if one.row != reference
    ]
    found = []
    for family, row, count in [("reference", reference, ""), *chosen]:
        line = {"family": family, "row": plain(row), "chosen from": count}
        for record in analysis.records.estimates:
            column = record.column
            if record.cell.row == row and column.metric == MAIN_METRIC[column.task]:
                own = record.estimate
                interval = f" [{number(own.low)}, {number(own.high)}]" if own.has_interval else ""
                head = f"{column.domain} ({column.scope}) {column.heading} at {record.cell.budgets.text}"
                line[head] = f"{number(own.value)}{interval}"
        found.append(line)
    return pd.DataFrame(found).fillna("–")


def tuning_frame(records: Iterable[TuningRow]) -> pd.DataFrame:
    """Return what tuning chose and gained, one row per row of the benchmark and pair of label budgets."""
    import pandas as pd

    return pd.DataFrame(
        {
            "row": plain(one.row),
            "labels": one.budgets.text,
            "validation cases": one.validation,
            "trials": one.trials,
            "pruned": one.pruned,
            "failed": one.failed,
            "chosen": one.chosen,
            "defaults": one.defaults,
            "best": one.score,
            "gain": one.gain,
            **{f"expected best of {n}": value for n, value in zip(FEWER, one.expected, strict=True)},
            "training, min": one.seconds / 60,
        }
        for one in records
    )


def write_long_csv(frame: pd.DataFrame, path: Path, names: tuple[str, ...]) -> Path:
    """Write a large frame: pyarrow is an order of magnitude faster than pandas here.

    Parameters
    ----------
    frame : DataFrame
        Its numbers are written with seven digits.
    path : Path
        Where.
    names : tuple of str
        Columns whose text comes from outside and is made safe.

    Returns
    -------
    Path
        ``path``.
    """
    import pyarrow as pa
    from pyarrow import csv

    known = {name: {text: csv_text(text) for text in frame[name].unique()} for name in names}
    frame = frame.assign(**{name: frame[name].map(known[name]) for name in names})
    # Seven digits are more than any score has.
    numbers = frame.select_dtypes("float64").columns
    frame[numbers] = frame[numbers].astype("float32")
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), str(path))
    return path
