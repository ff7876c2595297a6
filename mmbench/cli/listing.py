"""``mmbench list``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mmbench.cli.output import Json, console, make_table, print_json
from mmbench.cli.run import Plugins

app = typer.Typer(no_args_is_help=True, help="List methods, datasets, protocols or metrics.")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Show one method in full.")] = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """List the methods, with their tasks and streams."""
    from mmbench.plugins.discovery import discover

    registry = discover(plugin or ())
    if name is not None:
        registry.get(name)
    found = [entry for entry in registry.listing() if name in (None, entry["name"])]
    if json:
        print_json(found)
        return
    out = console()
    if name is not None:
        _show_method(found[0])
        return
    table = make_table("method", "learns", "labeled", "unlabeled", "what it is", wrap=("what it is",))
    for trivial in (False, True):
        for entry in (entry for entry in found if entry["trivial"] is trivial):
            table.add_row(
                entry["name"],
                _tasks(entry["tasks"]),
                *(_tasks(_of(entry["streams"], kind)) for kind in ("labeled", "unlabeled")),
                entry["title"],
            )
        table.add_section()
    out.print(table)
    out.print()
    out.print("mmbench list methods NAME shows one with its hyper-parameters", style="dim")


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="Show one dataset in full.")] = None,
    json: Json = False,
) -> None:
    """List the datasets that a protocol may name."""
    from mmbench.cli.data import list_datasets

    list_datasets(name, json=json)


@app.command()
def protocols(json: Json = False) -> None:
    """List the protocols that come with mmbench."""
    from mmbench.protocol.loading import shipped_protocols

    found = shipped_protocols()
    if json:
        print_json([{"name": name, "description": text} for name, text in found.items()])
        return
    table = make_table("protocol", "description", wrap=("description",))
    for name, text in found.items():
        table.add_row(name, text)
    out = console()
    out.print(table)
    out.print()
    out.print("mmbench run NAME runs one; mmbench protocol show NAME prints it", style="dim")


@app.command()
def metrics(json: Json = False) -> None:
    """List the metrics, with their definitions."""
    from dataclasses import asdict

    from mmbench.protocol.metrics import METRICS

    if json:
        print_json([asdict(metric) for metric in METRICS.values()])
        return
    table = make_table("metric", "heading", "task", "range", "better", "definition", wrap=("definition",))
    task = None
    for metric in METRICS.values():
        if task not in (None, metric.task):
            table.add_section()
        task = metric.task
        ends = f"{metric.lowest:g} to {metric.highest:g}"
        table.add_row(metric.name, metric.heading, metric.task.value, ends, metric.better, metric.definition)
    console().print(table)


def _tasks(names: list[str]) -> str:
    return "+".join(name[:3] for name in names) or "-"


def _of(streams: list[str], kind: str) -> list[str]:
    """Return the tasks of the labelled or the unlabelled streams."""
    return [stream.removeprefix(f"{kind}_") for stream in streams if stream.startswith(f"{kind}_")]


def _show_method(entry: dict[str, Any]) -> None:
    out = console()
    out.print(f"{entry['name']}: {entry['title']}", style="bold")
    table = make_table("", "", wrap=("",))
    table.show_header = False
    for key in ("tasks", "streams"):
        table.add_row(key, ", ".join(entry[key]) or "-")
    table.add_row("reference", entry["reference"] or "-")
    table.add_row("file", entry["origin"])
    for name, value in entry["hyperparameters"].items():
        table.add_row(name, str(value))
    out.print(table)
