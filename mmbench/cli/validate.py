"""``mmbench validate``: what a protocol would cost and could find, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import Json, console, duration, make_table, print_json, size
from mmbench.cli.run import DataRoot, Plugins, ProtocolName
from mmbench.terminal import print_table
from mmbench.text import plural

if TYPE_CHECKING:
    from rich.console import Console

    from mmbench.planning.outlook import Outlook


def validate(
    protocol: ProtocolName,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder; results/<protocol> when left out.")
    ] = None,
    data_root: DataRoot = None,
    plugin: Plugins = None,
    jobs: Annotated[str, typer.Option("--jobs", "-j", metavar="N", help="As for run.")] = "auto",
    device: Annotated[str, typer.Option(metavar="NAME", help="As for run.")] = "auto",
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Check names and values and count the runs; load no data.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what a protocol would cost and could find: runs, time, power, leaks, warnings.

    The data are loaded and searched for leaks; nothing is trained.
    """
    if no_data:
        _validate_without_data(protocol, plugin or [], json)
        return
    from mmbench.execution.devices import place
    from mmbench.planning.outlook import outlook
    from mmbench.planning.plan import make_plan
    from mmbench.protocol.loading import load_protocol, naming_lines

    loaded = load_protocol(protocol)
    workers = place(device, jobs)
    with naming_lines(protocol):
        plan = make_plan(
            loaded,
            data_root=data_root.resolve() if data_root is not None else None,
            plugins=[path.resolve() for path in plugin or ()],
        )
    folder = (results or Path("results") / loaded.name).resolve()
    found = outlook(plan, folder, len(workers.devices))
    if json:
        print_json(asdict(found))
    else:
        _show(found)


def _validate_without_data(protocol: str, plugins: list[Path], json: bool) -> None:
    """Check a protocol, its methods and the names of its datasets, and count its runs."""
    from mmbench.planning.outline import outline
    from mmbench.protocol.loading import load_protocol, naming_lines

    with naming_lines(protocol):
        found = outline(load_protocol(protocol), plugins)
    if json:
        print_json(found)
        return
    counts = (
        plural(len(found["rows"]), "row"),
        plural(found["subsets"], "labelled subset"),
        plural(found["seeds"], "seed"),
    )
    typer.echo(f"{found['protocol']}: valid; {plural(found['runs'], 'run')}: {', '.join(counts)}")


def _show(found: Outlook) -> None:
    out = console()
    left = found.runs - found.recorded
    recorded = (
        f", {found.recorded} trained, {left} to train, {found.predictions} to predict, "
        f"{found.scores} to score"
        if found.recorded
        else ""
    )
    out.print(f"{found.protocol}: {plural(found.runs, 'run')}{recorded}", style="bold")
    time = "unknown" if math.isnan(found.seconds) else f"about {duration(found.seconds)}"
    with_workers = (
        f"{time} with {plural(found.workers, 'worker')}"
        if left or found.predictions or found.scores
        else "none"
    )
    out.print(f"expected time   {with_workers} ({found.timed_by})", soft_wrap=True)
    kept = "unknown" if math.isnan(found.weights_bytes) else size(int(found.weights_bytes))
    out.print(f"weights         {kept} for all runs" if found.weights_bytes else "weights         not kept")
    seed = found.seconds_per_seed
    more = "" if math.isnan(seed) else f"; one more seed takes {duration(seed)}"
    question = (
        f"{plural(found.family, 'primary comparison')} over all budgets, corrected together, "
        f"with {plural(found.trainings, 'training')} per row and budget"
        if found.family
        else "none: no second method learns a task of the reference; below is what a pair could show"
    )
    out.print(f"question        {question}{more}", soft_wrap=True)
    shared = ", ".join(f"{count} {kind}" for kind, count in found.leaks.items())
    out.print(
        f"leaks           {shared} between parts that must be apart ({found.pairs_searched} pairs searched)"
    )
    out.print()
    _show_detectable(found, out)
    for warning in found.warnings:
        out.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    for note in found.notes:
        out.print(f"note: {note}", style="dim", soft_wrap=True)


def _show_detectable(found: Outlook, out: Console) -> None:
    """Print the smallest differences found; the columns of a family are left out where there is none."""
    numbers = ["cases", "one pair", *(["corrected", "seeds needed"] if found.family else [])]
    table = make_table("domain", "scope", "metric", *numbers, "from", right=tuple(numbers))
    for one in found.detectable:
        alone, corrected = (
            "none" if math.isinf(size) else f"{size:.3f}" for size in (one.alone, one.corrected)
        )
        seeds = "over 100" if one.seeds is None else str(one.seeds)
        cells = [str(one.cases), alone, *([corrected, seeds] if found.family else [])]
        table.add_row(one.domain, one.scope, one.metric, *cells, one.basis)
    print_table(out, table)
    out.print()
    smallest = "the smallest true difference over all budgets that 80 of 100 such runs find significant"
    if found.family:
        smallest = (
            f"one pair, corrected: {smallest}, alone and at Holm's first step over "
            f"{plural(found.family, 'primary comparison')}; none: not even 1. seeds needed: to find a "
            "difference of two margins, corrected"
        )
    else:
        smallest = f"one pair: {smallest}; none: not even 1"
    out.print(smallest, style="dim", soft_wrap=True)
