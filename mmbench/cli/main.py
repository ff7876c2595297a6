"""The ``mmbench`` command: its groups, its exit codes, and how a mistake is reported.

Exit codes: 0, 1 when a run failed, 2 when the user has something to fix, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mmbench.cli import (
    claims,
    compare,
    data,
    doctor,
    listing,
    plugins,
    protocol,
    report,
    run,
    status,
    validate,
)
from mmbench.cli.output import BAD_INPUT, INTERRUPTED, REPLACED, complain
from mmbench.deprecation import MmbenchDeprecationWarning
from mmbench.errors import UserError
from mmbench.files import check_name


class _Guarded(TyperGroup):
    """Turns a user's mistake, Ctrl-C and a closed pipe into one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``--debug`` after a command's name too."""
        own = args[: args.index("--")] if "--" in args else args
        if "--debug" in own:
            args = ["--debug", *(arg for arg in own if arg != "--debug"), *args[len(own) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            check_name(Path.cwd())
            for text in sys.argv[1:]:
                check_name(text)
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            complain(str(error))
            raise typer.Exit(BAD_INPUT) from None
        except SystemExit as error:
            if isinstance(error.__context__, BrokenPipeError):  # rich's console exits itself
                _end_quietly()
            # Commands end with typer.Exit, so this is from the code of a plugin.
            complain(f"{_origin(error)}: ends the program; a plugin must return, or raise an error")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            complain("stopped", prefix="")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _end_quietly()
        except OSError as error:
            if error.filename is None or ctx.params.get("debug"):
                raise
            complain(f"{error.filename}: {error.strerror}; choose a place that can be read and written")
            raise typer.Exit(BAD_INPUT) from None


def _end_quietly() -> NoReturn:
    """End where nobody reads any more; what is buffered must not fail again when the stream is closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(0) from None


def _origin(error: BaseException) -> str:
    """Return file and line of the innermost code that is not Python's own."""
    frames = traceback.extract_tb(error.__traceback__)
    own = sysconfig.get_path("stdlib")
    # Installed packages may lie inside the folder of Python's own library.
    others = [
        frame
        for frame in frames
        if "site-packages" in frame.filename or not frame.filename.startswith((own, "<"))
    ]
    last = (others or frames)[-1]
    return f"{last.filename}:{last.lineno}"


app = typer.Typer(
    cls=_Guarded,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with [bold]mmbench run quickstart[/]: it needs no data and takes minutes on a laptop.",
)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("validate")(validate.validate)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.add_typer(listing.app, name="list")
app.add_typer(data.app, name="data")
app.add_typer(protocol.app, name="protocol")
app.add_typer(plugins.new, name="new")
app.command("check")(plugins.check)
app.add_typer(claims.app, name="claims")


def _show_version(wanted: bool) -> None:
    if wanted:
        from mmbench import __version__

        typer.echo(f"mmbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Two tasks from few labels, in domain and across hospitals: the MultiMix benchmark."""


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Show what mmbench deprecates in one line, and other warnings as Python does."""
    if issubclass(category, MmbenchDeprecationWarning):
        complain(str(message), prefix="warning: ")
    else:
        _USUAL_WARNING(message, category, *place, **more)


_USUAL_WARNING = warnings.showwarning


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that has no dash gets a hyphen: a table must not fail after hours of training.
            stream.reconfigure(errors=REPLACED)
    warnings.showwarning = _show_warning
    app()
