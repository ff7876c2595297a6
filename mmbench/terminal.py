"""Tables in a terminal, whatever its width."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def width_of(out: Console, table: Table, *, folded: bool = False) -> int:
    """Return the width that a table needs: as it is, or with its foldable columns folded at every word."""
    found = out.measure(table, options=out.options.update(width=10_000))
    return found.minimum if folded else found.maximum


def print_table(out: Console, table: Table) -> None:
    """Print a table; one that a terminal is too narrow for is continued on its next line, never cut."""
    from rich.segment import Segments

    wide = out.options.update(width=max(out.width, width_of(out, table, folded=True)))
    out.print(Segments(out.render(table, wide)), crop=False, end="")
