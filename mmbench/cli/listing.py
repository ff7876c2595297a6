"""``mmbench list``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mmbench.cli.output import Json, console, make_table, print_json
from mmbench.cli.run import DataRoot, Plugins
from mmbench.terminal import print_table

WIDE = 80
"""Columns of a terminal from which on listings have more than names and descriptions."""
app = typer.Typer(no_args_is_help=True, help="List methods, datasets, protocols, metrics or backbones.")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Show one method in full.")] = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """List the methods, with their tasks and streams."""
    from mmbench.plugins.discovery import discover
    from mmbench.protocol.families import FAMILIES
    from mmbench.protocol.vocabulary import FAMILY_PREFIX

    registry = discover(plugin or ())
    if name is not None:
        registry.get(name)
    found = [entry for entry in registry.listing() if name in (None, entry["name"])]
    for cause in registry.broken.values():
        typer.echo(f"warning: {cause}", err=True)
    if json:
        print_json(found)
        return
    out = console()
    if name is not None:
        _show_method(found[0])
        return
    heads = ("learns", "labeled", "unlabeled", "targets") if out.width >= WIDE else ()
    table = make_table("method", *heads, "what it is", wrap=("what it is",))
    order = [*FAMILIES, *sorted({entry["family"] for entry in found} - FAMILIES.keys())]
    for family in order:
        members = [entry for entry in found if entry["family"] == family]
        if members:
            seen = f": {FAMILIES[family]}" if family in FAMILIES else ""
            table.add_row("", *[""] * len(heads), f"{FAMILY_PREFIX}{family}{seen}", style="bold")
        for entry in members:
            kinds = [_of(entry["streams"], kind) for kind in ("labeled", "unlabeled", "unlabeled_target")]
            streams = [_tasks(own) for own in (entry["tasks"], *kinds)]
            table.add_row(entry["name"], *streams[: len(heads)], entry["title"])
        table.add_section()
    print_table(out, table)
    out.print()
    out.print("mmbench list methods NAME shows one with its hyper-parameters", style="dim")


@app.command()
def datasets(
    name: Annotated[
        str | None, typer.Argument(help="Show one dataset in full: source, terms, layout.")
    ] = None,
    data_root: DataRoot = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """List the datasets that a protocol may name: what they are, where to get them, whether they are here."""
    from mmbench.data.catalogue import describe, listing
    from mmbench.plugins.discovery import discover

    discover(plugin or ())
    wanted = None if name is None else describe(name).name
    found = [status.to_json() for status in listing(data_root) if wanted in (None, status.info.name)]
    if json:
        print_json(found)
    elif name is not None:
        _show_dataset(found[0])
    else:
        _show_datasets(found)


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
    print_table(out, table)
    out.print()
    out.print("mmbench run NAME runs one; mmbench protocol show NAME prints it", style="dim")


@app.command()
def metrics(plugin: Plugins = None, json: Json = False) -> None:
    """List the metrics, with their definitions."""
    from dataclasses import asdict

    from mmbench.plugins.discovery import discover
    from mmbench.protocol.metrics import METRICS
    from mmbench.protocol.vocabulary import Task

    discover(plugin or ())
    found = sorted(METRICS.values(), key=lambda metric: list(Task).index(metric.task))
    if json:
        print_json([asdict(metric) for metric in found])
        return
    out = console()
    heads = ("heading", "task", "range", "better") if out.width >= WIDE else ("heading",)
    table = make_table("metric", *heads, "definition", wrap=("definition",))
    task = None
    for metric in found:
        if task not in (None, metric.task):
            table.add_section()
        task = metric.task
        facts = (metric.heading, metric.task.value, f"{metric.lowest:g} to {metric.highest:g}", metric.better)
        table.add_row(metric.name, *facts[: len(heads)], metric.definition)
    print_table(out, table)


@app.command()
def backbones(plugin: Plugins = None, json: Json = False) -> None:
    """List the networks that a protocol may put under every method."""
    from mmbench.plugins.discovery import discover

    found = {
        "paper_unet": "the publication's U-Net; width, depth and dropout are settings",
        "smp:<decoder>/<encoder>": "any segmentation-models-pytorch decoder over any timm encoder, such as "
        "smp:unet/resnet18",
    }
    for one in discover(plugin or ()).extensions.values():
        if one.kind == "backbone":
            found[one.name] = (one.value.__doc__ or "").strip().split("\n")[0]
    if json:
        print_json([{"name": name, "title": title} for name, title in found.items()])
        return
    table = make_table("backbone", "what it is", wrap=("what it is",))
    for name, title in found.items():
        table.add_row(name, title)
    print_table(console(), table)


def _tasks(names: list[str]) -> str:
    return "+".join(name[:3] for name in names) or "-"


def _of(streams: list[str], kind: str) -> list[str]:
    """Return the tasks of the streams of a kind: labelled, unlabelled, or of the targets' images."""
    return [task for found, _, task in (stream.rpartition("_") for stream in streams) if found == kind]


def _show_method(entry: dict[str, Any]) -> None:
    out = console()
    out.print(f"{entry['name']}: {entry['title']}", style="bold")
    table = make_table("", "", wrap=("",))
    table.show_header = False
    table.add_row("family", entry["family"])
    for key in ("tasks", "streams"):
        table.add_row(key, ", ".join(entry[key]) or "-")
    table.add_row("reference", entry["reference"] or "-")
    table.add_row("file", entry["origin"])
    for name, value in entry["hyperparameters"].items():
        table.add_row(name, f"{value}{_space(entry['search'].get(name))}")
    print_table(out, table)


def _space(space: dict[str, Any] | None) -> str:
    """Return what a hyper-parameter may be tuned over, in words."""
    if space is None:
        return ""
    if "values" in space:
        return f" (tuned over {', '.join(map(str, space['values']))})"
    return f" (tuned over {space['low']:g} to {space['high']:g}{', log' if space['log'] else ''})"


def _show_datasets(found: list[dict[str, Any]]) -> None:
    out = console()
    heads = ("available", "tasks", "cases") if out.width >= WIDE else ("available",)
    table = make_table("dataset", *heads, "what it is", right=("cases",), wrap=("what it is",))
    for group in (True, False):
        for entry in (entry for entry in found if entry["name"].startswith("phantom:") is group):
            at_hand, what, count = (
                "no",
                entry["title"],
                (entry["counts"] or entry["published_counts"]).get("cases"),
            )
            if group:
                at_hand = "built in"
            elif entry["name"] == "manifest":
                at_hand = "your CSV"
            elif entry["available"]:
                at_hand = "imported" if entry["imported"] else "found"
            elif entry["fault"]:
                at_hand, what = "unreadable", f"cannot be read: {entry['fault']}"
            tasks = "+".join(task[:3] for task in entry["tasks"])
            facts = (at_hand, tasks, "-" if count is None else str(count))
            table.add_row(entry["name"], *facts[: len(heads)], what)
        table.add_section()
    print_table(out, table)
    out.print()
    out.print(
        "mmbench list datasets NAME says where to get one; mmbench data import NAME PATH imports it",
        style="dim",
    )


def _show_dataset(entry: dict[str, Any]) -> None:
    out = console()
    out.print(f"{entry['name']}: {entry['title']}", style="bold")
    table = make_table("", "", wrap=("",))
    table.show_header = False
    table.add_row("tasks", ", ".join(entry["tasks"]))
    table.add_row("get it from", entry["where"])
    table.add_row("terms", entry["terms"])
    table.add_row("layout", entry["layout"])
    if entry["citation"]:
        table.add_row("cite", entry["citation"])
    if entry["published_counts"]:
        table.add_row("published", ", ".join(f"{n} {word}" for word, n in entry["published_counts"].items()))
    if entry["location"]:
        table.add_row("imported" if entry["imported"] else "found", entry["location"])
        table.add_row("", ", ".join(f"{n} {word}" for word, n in entry["counts"].items()))
        if entry["data_digest"]:
            table.add_row("digest", entry["data_digest"])
    elif not entry["available"] and entry["name"] != "manifest":
        table.add_row("here", f"no; mmbench data import {entry['name']} PATH")
    print_table(out, table)
    if entry["dials"]:
        out.print()
        dials = make_table("dial", "here", "range", "what it does", right=("here",), wrap=("what it does",))
        for dial in entry["dials"]:
            limits = f"{dial['minimum']:g} to {dial['maximum']:g}"
            dials.add_row(dial["name"], f"{dial['value']:g}", limits, dial["description"])
        out.print(dials)
