"""What every command shares: consoles, JSON, the wording of an error."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
_JSON_STREAM: ContextVar[TextIO | None] = ContextVar("json_stream", default=None)
"""Where JSON goes while everything else that is printed goes to standard error."""
REPLACED = "mmbench.replace"
"""Name of the handler of characters that an output's encoding lacks."""
_REPLACEMENTS = {"–": "-", "—": "-", "…": "...", "×": "x", "±": "+/-", "≤": "<=", "≥": ">=", "−": "-"}
PIPED_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where nothing needs to be cut off."""

AllowMixed = Annotated[
    bool,
    typer.Option(
        "--allow-mixed", help="Show records together that other sources or library versions made; marked."
    ),
]


def _keep_for_json(ctx: typer.Context, wanted: bool) -> bool:
    """Send what else is printed, by plugins for example, to standard error until the command ends."""
    if wanted:
        kept = _JSON_STREAM.set(sys.stdout)
        ctx.call_on_close(partial(_JSON_STREAM.reset, kept))
        ctx.with_resource(contextlib.redirect_stdout(sys.stderr))
    return wanted


Json = Annotated[
    bool,
    typer.Option("--json", callback=_keep_for_json, help="Print JSON, and nothing else, on standard output."),
]


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes words as they are: no markup, no highlighting, no emoji codes."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    chosen = os.environ.get("COLUMNS", "")
    width = int(chosen) if chosen.isdecimal() and int(chosen) else None
    if width is None and not stream.isatty():
        width = PIPED_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_REPLACEMENTS.get(character, "?") for character in lost), error.end


codecs.register_error(REPLACED, _replace)


def is_live(out: Console) -> bool:
    """Whether lines may be drawn anew: a terminal that can, and nobody who asked for plain lines."""
    return out.is_terminal and not out.is_dumb_terminal and not os.environ.get("MMBENCH_PLAIN")


def complain(text: str, prefix: str = "error: ") -> None:
    """Print one line on standard error."""
    typer.echo(prefix + " ".join(text.split()), err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; numbers that are not finite become null."""
    text = json.dumps(_finite(value), indent=2, default=str, allow_nan=False)
    typer.echo(text, file=_JSON_STREAM.get())


def make_table(*headings: str, right: Iterable[str] = (), wrap: Iterable[str] = ()) -> Table:
    """Return an empty table.

    Parameters
    ----------
    *headings : str
        Of the columns, in order.
    right : iterable of str
        Headings of columns set flush right, for numbers.
    wrap : iterable of str
        Headings of columns that may be folded when the terminal is narrow; the others keep their width.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    right, wrap = set(right), set(wrap)
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading not in wrap,
            overflow="fold",
        )
    return table


def shown(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def duration(seconds: float) -> str:
    """Return a time in the two largest units that matter, for example ``2 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that fits, for example ``7.9 MB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.{0 if power == 0 else 1}f} {units[power]}"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(item) for item in value]
    return value
