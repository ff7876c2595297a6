"""``mmbench doctor``: whether the files on the disk are as they were written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import FAILED, Json, console, make_table, print_json, shown
from mmbench.cli.run import DataRoot, Plugins
from mmbench.cli.status import Results, Where, results_folder
from mmbench.terminal import print_table
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.running.summary import RunSummary
    from mmbench.store.integrity import Fault
    from mmbench.store.store import ResultStore


def doctor(
    target: Results,
    results: Where = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged files aside and make them again.")
    ] = False,
    data_root: DataRoot = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Check every record, checkpoint and cache entry against its checksum.

    Exit code 1 when something is damaged and was not repaired. Only leftovers and cache entries, which are
    made again, are ever deleted: a damaged record goes to the folder's quarantine/.
    """
    from mmbench.planning.repair import affected_runs, find_faults, repair_faults
    from mmbench.store.store import ResultStore

    store = ResultStore(results_folder(target, results))
    faults = find_faults(store)
    affected = affected_runs(store, faults)
    done = repair_faults(store, faults) if repair else {}
    summary = _complete(store, affected, data_root, plugin or [], json) if repair and affected else None
    if json:
        listed = [{**asdict(one), "path": str(one.path), "done": done.get(str(one.path))} for one in faults]
        completed = [] if summary is None else list(summary.done)
        print_json({"results": str(store.root), "faults": listed, "completed_again": completed})
    else:
        _show(store, faults, done, summary)
    failed = summary is not None and summary.exit_code
    raise typer.Exit(FAILED if failed or (faults and not repair) else 0)


def _complete(
    store: ResultStore, runs: list[str], data_root: Path | None, plugins: list[Path], json: bool
) -> RunSummary:
    from mmbench.api import run
    from mmbench.cli.progress import RunDisplay

    with RunDisplay(console(stderr=json)) as display:
        return run(
            store.load_plan().protocol,
            results=store.root,
            data_root=data_root,
            plugins=plugins,
            only=",".join(f"id={id}" for id in runs),
            allow_mixed=True,
            listener=display,
        )


def _show(store: ResultStore, faults: list[Fault], done: dict[str, str], summary: RunSummary | None) -> None:
    out = console()
    if not faults:
        count = plural(sum(len(layer.ids()) for layer in store.layers), "record")
        out.print(f"{shown(store.root)}: {count}, every file matches its checksum", soft_wrap=True)
        return
    table = make_table("kind", "where", "what", wrap=("where", "what"))
    for fault in faults:
        outcome = done.get(str(fault.path))
        table.add_row(fault.kind, shown(fault.path), f"{fault.what}; {outcome}" if outcome else fault.what)
    print_table(out, table)
    out.print()
    if summary is not None:
        out.print(
            f"made again: {summary.trained} trained, {summary.predicted} predicted, {summary.scored} scored, "
            f"{len(summary.failed)} failed",
            style="bold",
        )
    elif not done:
        out.print(f"fix it with: mmbench doctor {shown(store.root)} --repair", style="yellow", soft_wrap=True)
