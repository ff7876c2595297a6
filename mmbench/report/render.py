"""The main table as text: for terminals, Markdown and CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mmbench.protocol.vocabulary import Task
from mmbench.report.main_table import Column, Line, MainTable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

NOT_LEARNED = "–"
NOT_THERE = "…"
UNDEFINED = "undefined"
ANY_BUDGET = "any"
HEADS = ("Model", "|Dc|", "|Ds|", "n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
_MARKDOWN = re.compile(r"([\\`*\[\]|~#])")


@dataclass(frozen=True)
class ShownLine:
    """A row as it is printed: several trivial baselines that agree at every budget are one."""

    line: Line
    budgets: tuple[str, str]


def value_text(table: MainTable, line: Line, column: Column) -> str:
    """Return ``mean ± sd`` with three decimals, as the publication prints its means."""
    if line.budget(column.task) is None:
        return NOT_LEARNED
    value = table.results.get((line, column))
    if value is None:
        return NOT_THERE
    if not value.n:
        return UNDEFINED
    return f"{value.mean:.3f}" if math.isnan(value.sd) else f"{value.mean:.3f} ± {value.sd:.3f}"


def trainings_text(table: MainTable, line: Line) -> str:
    """Return the number of trainings in a row, with the number planned where some are missing."""
    found, planned = table.trainings[line]
    return str(found) if found >= planned else f"{found}/{planned}"


def best_values(table: MainTable) -> set[tuple[Line, Column]]:
    """Return where the best mean stands: per column, among methods with the same budget of its task.

    Means that print alike are equally good. A mark is no test: it says nothing about significance.
    """
    best: set[tuple[Line, Column]] = set()
    for column in table.columns:
        groups: dict[str | None, list[tuple[Line, float]]] = {}
        for line in table.lines:
            value = table.results.get((line, column))
            if value is not None and value.n and not line.trivial:
                groups.setdefault(line.budget(column.task), []).append((line, round(value.mean, 3)))
        choose = max if column.higher_is_better else min
        for found in groups.values():
            top = choose(mean for _, mean in found)
            if len(found) > 1:
                best |= {(line, column) for line, mean in found if mean == top}
    return best


def terminal_tables(table: MainTable, console: Console, *, mark_best: bool = False) -> list[Table]:
    """Return the table for a terminal: whole, or one per task, or one per domain, whichever fits first.

    Parameters
    ----------
    table : MainTable
        What to show.
    console : Console
        Its width decides.
    mark_best : bool
        Set the best means in bold, see :func:`best_values`.
    """
    best = best_values(table) if mark_best else set()
    splits: list[Callable[[Column], Any]] = [
        lambda column: None,
        lambda column: column.task,
        lambda column: (column.task, column.in_domain, column.domain),
    ]
    found: list[Table] = []
    for split in splits:
        keys = dict.fromkeys(split(column) for column in table.columns)
        found = [_rich_table(table, [c for c in table.columns if split(c) == key], best) for key in keys]
        wide = console.options.update(width=10_000)
        if all(console.measure(part, options=wide).maximum <= console.width for part in found):
            break
    return found


BOLD = "Bold: best mean among the methods with the same budget of the task; no test."


def print_terminal(table: MainTable, console: Console, *, mark_best: bool = False) -> None:
    """Print the table and its captions."""
    from rich.text import Text

    console.print(Text(plain(table.title), style="bold"))
    for part in terminal_tables(table, console, mark_best=mark_best):
        console.print(part)
    for sentence in [*table.captions, *([BOLD] if mark_best else [])]:
        console.print(Text(plain(sentence), style="dim"))


def markdown(table: MainTable, *, mark_best: bool = False) -> str:
    """Return the whole table and its captions in GitHub's Markdown; names are escaped."""
    best = best_values(table) if mark_best else set()
    heads = [markdown_text(head) for head in HEADS]
    heads += [markdown_text(f"{column.domain} {column.heading}") for column in table.columns]
    rows = [f"| {' | '.join(heads)} |", f"| --- | {' | '.join(['---:'] * (len(heads) - 1))} |"]
    for shown in shown_lines(table, table.columns):
        line = shown.line
        name = markdown_text(line.row)
        cells = [f"*{name}*" if line.trivial else name, *shown.budgets, trainings_text(table, line)]
        for column in table.columns:
            text = value_text(table, line, column)
            cells.append(f"**{text}**" if (line, column) in best else text)
        rows.append(f"| {' | '.join(cells)} |")
    parts = [markdown_text(f"{scope}: {', '.join(domains)}") for scope, domains in scopes(table.columns)]
    notes = [
        *parts,
        *(["Rows in italics are trivial baselines."] if any(line.trivial for line in table.lines) else []),
    ]
    notes += [markdown_text(sentence) for sentence in [*table.captions, *([BOLD] if mark_best else [])]]
    listed = "\n".join(f"- {note}" for note in notes)
    return f"### {markdown_text(table.title)}\n\n" + "\n".join(rows) + f"\n\n{listed}\n"


def csv_long(table: MainTable) -> str:
    """Return one CSV row per line, domain and metric: mean, sd and n, unrounded."""
    return csv_table(table.long)


def csv_wide(table: MainTable) -> str:
    """Return one CSV row per line of the table, unrounded."""
    return csv_table(table.wide)


def csv_table(frame: pd.DataFrame) -> str:
    """Return a frame as CSV, its text on one line and safe in a spreadsheet."""
    frame = frame.rename(columns=csv_text)
    for name in frame.columns:
        frame[name] = [csv_text(value) if isinstance(value, str) else value for value in frame[name]]
    return str(frame.to_csv(index=False, lineterminator="\n"))


def csv_text(text: str) -> str:
    """Return text on one line, with what a spreadsheet would run as a formula made text."""
    text = plain(text)
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def plain(text: str) -> str:
    """Return text on one line, without control characters and what turns the direction of writing."""
    return _CONTROL.sub(" ", text).strip()


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


def scopes(columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
    """Return the domains with their tasks, in-domain and cross-domain."""
    found: dict[str, dict[str, None]] = {}
    for column in columns:
        found.setdefault(column.scope, {})[f"{column.domain} ({column.task.value})"] = None
    return [(scope, list(domains)) for scope, domains in found.items()]


def shown_lines(table: MainTable, columns: Sequence[Column]) -> list[ShownLine]:
    """Return the rows that have something to say in these columns."""
    tasks = {column.task for column in columns}
    lines = [line for line in table.lines if any(line.budget(task) is not None for task in tasks)]
    found = [ShownLine(line, _budgets(line)) for line in lines if not line.trivial]
    for _, group in groupby((line for line in lines if line.trivial), key=lambda line: line.row):
        same = list(group)
        texts = {
            (trainings_text(table, line), *(value_text(table, line, column) for column in columns))
            for line in same
        }
        if len(same) > 1 and len(texts) == 1:
            budgets = [NOT_LEARNED if same[0].budget(task) is None else ANY_BUDGET for task in Task]
            found.append(ShownLine(same[0], (budgets[0], budgets[1])))
        else:
            found += [ShownLine(line, _budgets(line)) for line in same]
    return found


def _budgets(line: Line) -> tuple[str, str]:
    return line.classification or NOT_LEARNED, line.segmentation or NOT_LEARNED


def _rich_table(table: MainTable, columns: Sequence[Column], best: Iterable[tuple[Line, Column]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    best = set(best)
    result = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    result.add_column(HEADS[0], overflow="fold")
    for head in HEADS[1:]:
        result.add_column(head, justify="right", no_wrap=True)
    previous = None
    for column in columns:
        place = (column.in_domain, column.task, column.domain)
        where = f"{column.scope}\n{plain(column.domain)}\n" if place != previous else "\n\n"
        result.add_column(Text(f"{where}{column.heading}"), justify="right", no_wrap=True)
        previous = place
    shown = shown_lines(table, columns)
    for position, item in enumerate(shown):
        line = item.line
        cells = [Text(plain(line.row)), *(Text(budget) for budget in item.budgets)]
        cells.append(Text(trainings_text(table, line)))
        for column in columns:
            style = "bold" if (line, column) in best else ""
            cells.append(Text(value_text(table, line, column), style=style))
        last = position == len(shown) - 1
        ends = not last and shown[position + 1].line.trivial and not line.trivial
        result.add_row(*cells, end_section=ends, style="dim" if line.trivial else None)
    return result
