"""The table in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mmbench.analysis.rows import Column
from mmbench.report.table import LABELS_CLASSIFICATION, LABELS_SEGMENTATION, MODEL, TRAININGS, Line, Table
from mmbench.report.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Drawn


def print_terminal(table: Table, console: Console, answer: Sequence[str] = ()) -> None:
    """Print the answer, the table and its notes."""
    from rich.text import Text

    for place, sentence in enumerate(answer):
        console.print(Text(sentence, style="" if place else "bold"), soft_wrap=True)
    if answer:
        console.print()
    console.print(Text(plain(table.title), style="bold"))
    for part in terminal_tables(table, console):
        console.print(part)
    for sentence in table.notes:
        console.print(Text(plain(sentence), style="dim"))


def terminal_tables(table: Table, console: Console) -> list[Drawn]:
    """Return the table for a terminal: whole, or one per task, or one per domain, whichever fits first.

    Parameters
    ----------
    table : Table
        What to show.
    console : Console
        Its width decides.
    """
    splits: list[Callable[[Column], Any]] = [
        lambda column: None,
        lambda column: column.task,
        lambda column: column.place,
    ]
    found: list[Drawn] = []
    for split in splits:
        keys = dict.fromkeys(split(column) for column in table.columns)
        parts = [table.part([column for column in table.columns if split(column) == key]) for key in keys]
        found = [_drawn(part) for part in parts]
        wide = console.options.update(width=10_000)
        if all(console.measure(part, options=wide).maximum <= console.width for part in found):
            break
    return found


def _drawn(table: Table) -> Drawn:
    from rich import box
    from rich.table import Table as Drawn
    from rich.text import Text

    result = Drawn(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    result.add_column(MODEL, overflow="fold")
    heads = [LABELS_CLASSIFICATION, LABELS_SEGMENTATION, *([TRAININGS] if table.with_trainings else [])]
    for head in heads:
        result.add_column(head, justify="right", no_wrap=True)
    previous = None
    for column in table.columns:
        where = f"{column.scope}\n{plain(column.domain)}\n" if column.place != previous else "\n\n"
        result.add_column(Text(f"{where}{column.heading}"), justify="right", no_wrap=True)
        previous = column.place
    lines = table.shown
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        ends = following is not None and following.cell.trivial and not line.cell.trivial
        style = "dim" if line.cell.trivial else None
        result.add_row(*map(Text, _texts(table, line)), end_section=ends, style=style)
    return result


def _texts(table: Table, line: Line) -> list[str]:
    entries = [
        " ".join(part for part in (f"{entry.text}{entry.marks}", entry.interval) if part)
        for entry in line.entries
    ]
    trainings = [line.trainings.text] if table.with_trainings else []
    return [plain(line.name), *line.budgets, *trainings, *entries]
