"""Tables in GitHub's Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmbench.analysis.facts import RowCost
from mmbench.analysis.records import Primary
from mmbench.report.answer import primary_texts
from mmbench.report.table import (
    LABELS_CLASSIFICATION,
    LABELS_SEGMENTATION,
    MODEL,
    TRAININGS,
    Entry,
    Line,
    Table,
)
from mmbench.report.text import cell_texts, plain

if TYPE_CHECKING:
    import pandas as pd

_SPECIAL = re.compile(r"([\\`*\[\]|~#])")


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def markdown_table(table: Table) -> str:
    """Return the main table and its notes; names are escaped."""
    heads = [MODEL, LABELS_CLASSIFICATION, LABELS_SEGMENTATION]
    heads += [TRAININGS] if table.with_trainings else []
    heads += [f"{column.domain} {column.heading}" for column in table.columns]
    rows = [_row(map(markdown_text, heads)), _rule(len(heads))]
    rows += [_row(_texts(table, line)) for line in table.shown]
    notes = [f"{scope}: {', '.join(domains)}" for scope, domains in table.scopes]
    notes += ["Rows in italics are trivial baselines."] if table.has_trivial else []
    listed = "\n".join(f"- {markdown_text(note)}" for note in [*notes, *table.notes])
    return f"{_titled(table.title, rows)}\n{listed}\n"


def markdown_primary(records: Iterable[Primary], title: str) -> str:
    """Return the primary comparisons, each with its verdict and the single budgets behind it."""
    heads = ["metric", "domain", "A", "B", "A - B", "interval", "verdict", "at single budgets"]
    rows = [_row(heads), _rule(len(heads), left=4)]
    rows += [_row(map(markdown_text, primary_texts(record))) for record in records]
    return _titled(title, rows)


def markdown_rows(records: Iterable[RowCost], title: str) -> str:
    """Return what each row sees and what a run of it costs."""
    heads = ["row", "family", "sees", "parameters", "training, s", "memory, MB"]
    rows = [_row(heads), _rule(len(heads), left=3)]
    for record in records:
        texts = (record.row, record.family, record.sees)
        numbers = (record.parameters, record.train_seconds, record.peak_memory_mb)
        shown = ["" if math.isnan(number) else f"{number:,.0f}" for number in numbers]
        rows.append(_row([*map(markdown_text, texts), *shown]))
    return _titled(title, rows)


def markdown_frame(frame: pd.DataFrame, title: str) -> str:
    """Return a frame, its numbers to three places."""
    numeric = frame.select_dtypes("number").columns
    rows = [_row(frame.columns), _row("---:" if name in numeric else "---" for name in frame.columns)]
    rows += [_row(map(markdown_text, cell_texts(values))) for values in frame.itertuples(index=False)]
    return _titled(title, rows)


def _texts(table: Table, line: Line) -> list[str]:
    name = markdown_text(line.name)
    trainings = [line.trainings.text] if table.with_trainings else []
    return [
        f"*{name}*" if line.cell.trivial else name,
        *line.budgets,
        *trainings,
        *map(_entry, line.entries),
    ]


def _entry(entry: Entry) -> str:
    text = f"**{entry.text}**" if entry.best else entry.text
    return " ".join(part for part in (f"{text}{entry.marks}", markdown_text(entry.interval)) if part)


def _titled(title: str, rows: Iterable[str]) -> str:
    return f"### {markdown_text(title)}\n\n" + "\n".join(rows) + "\n"


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _rule(count: int, left: int = 1) -> str:
    return _row(["---"] * left + ["---:"] * (count - left))
