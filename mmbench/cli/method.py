"""``mmbench method``: a new method's file, and whether a method keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.cli.output import FAILED

app = typer.Typer(no_args_is_help=True, help="Start a method of your own, or check one.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The method's name.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where to write it.")] = Path(),
) -> None:
    """Write a method file that works as it is, to start from."""
    from mmbench.plugins.scaffold import write_method

    path = write_method(name, folder)
    typer.echo(f"{path}\ncheck it: mmbench method check {path}\nrun it: mmbench run PROTOCOL --plugin {path}")


@app.command()
def check(
    method: Annotated[str, typer.Argument(help="A method's name, or a plugin file.")],
) -> None:
    """Check on a small made-up batch that a method keeps its contract; exit code 1 if it does not."""
    from mmbench.plugins.discovery import discover, methods_in
    from mmbench.testing import faults

    path = Path(method)
    is_path = path.suffix == ".py" or path.is_dir()
    registry = methods_in(path) if is_path else discover()
    broken = False
    for name in registry if is_path else [method]:
        found = faults(registry.get(name).cls)
        broken = broken or bool(found)
        typer.echo(f"{name}: " + ("breaks the contract" if found else "keeps the contract"))
        for fault in found:
            typer.echo(f"  {fault}")
    if broken:
        raise typer.Exit(FAILED)
