"""The table in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mmbench.analysis.rows import Column
from mmbench.report.table import LABELS_CLASSIFICATION, LABELS_SEGMENTATION, MODEL, TRAININGS, Line, Table
from mmbench.report.text import plain
from mmbench.terminal import print_table, width_of

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
        print_table(console, part)
    for sentence in table.notes:
        console.print(Text(plain(sentence), style="dim"))


def terminal_tables(table: Table, console: Console) -> list[Drawn]:
    """Return the table for a terminal: whole, per task, per domain, or cut further, whichever fits first.

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
    found: list[Table] = []
    for split in splits:
        keys = dict.fromkeys(split(column) for column in table.columns)
        found = [table.part([column for column in table.columns if split(column) == key]) for key in keys]
        if all(_fits(part, console) for part in found):
            break
    else:
        found = [smaller for part in found for smaller in _cut(part, console)]
    return [_drawn(part) for part in found]


def _cut(table: Table, console: Console) -> list[Table]:
    """Return a table in parts of as many columns as fit, or of one where not even that does."""
    parts: list[list[Column]] = []
    for column in table.columns:
        if parts and _fits(table.part([*parts[-1], column]), console):
            parts[-1].append(column)
        else:
            parts.append([column])
    return [table.part(part) for part in parts]


def _fits(table: Table, console: Console) -> bool:
    return width_of(console, _drawn(table)) <= console.width


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
