"""``mmbench new`` and ``mmbench check``: a plugin's first file, and whether a plugin keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.cli.output import FAILED
from mmbench.cli.run import DataRoot

new = typer.Typer(no_args_is_help=True, help="Start a method, a dataset or a metric of your own.")
Name = Annotated[str, typer.Argument(help="What protocols will call it.")]
Folder = Annotated[Path, typer.Option(metavar="DIR", help="Where to write it.")]


@new.command("method")
def new_method(name: Name, folder: Folder = Path()) -> None:
    """Write a method that works as it is, with its test."""
    _write("method", name, folder, f"run it: mmbench run PROTOCOL --plugin {folder / f'{name}.py'}")


@new.command("dataset")
def new_dataset(name: Name, folder: Folder = Path()) -> None:
    """Write a reader of a dataset that works as it is, with its test."""
    _write("dataset", name, folder, f"use it: plugins: [{folder / f'{name}.py'}] in a protocol")


@new.command("metric")
def new_metric(name: Name, folder: Folder = Path()) -> None:
    """Write a metric that works as it is, with its test."""
    _write("metric", name, folder, f"score with it: mmbench run PROTOCOL --plugin {folder / f'{name}.py'}")


def _write(kind: str, name: str, folder: Path, use: str) -> None:
    from mmbench.plugins.scaffold import write_plugin

    path, test = write_plugin(kind, name, folder)
    typer.echo(f"{path}\n{test}\ncheck it: mmbench check {path}\ntest it: pytest {test}\n{use}")


def check(
    plugin: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_NAME", help="A plugin file or folder, or the name of what is installed."
        ),
    ],
    data_root: DataRoot = None,
) -> None:
    """Check that a method, metric, dataset or backbone keeps its contract; exit code 1 if it does not.

    A dataset is also read, if it lies under --data-root.
    """
    import torch

    from mmbench.plugins.discovery import discover, plugins_in
    from mmbench.testing.plugins import contracts, of_name

    torch.set_num_threads(1)  # batches of four small images gain nothing from more

    path = Path(plugin)
    if path.suffix == ".py" or path.is_dir():
        found = contracts(plugins_in(path), discover([path]), data_root)
    else:
        found = of_name(plugin, discover(), data_root)
    broken = False
    for contract in found:
        faults: list[str] = []
        for name, own in contract.checks():
            faults += own
            typer.echo(f"  {name}: {'ok' if not own else 'broken'}", err=True)
        broken = broken or bool(faults)
        typer.echo(
            f"{contract.name} ({contract.kind}): " + ("breaks" if faults else "keeps") + " the contract"
        )
        for fault in faults:
            typer.echo(f"  {fault}")
    if broken:
        raise typer.Exit(FAILED)
