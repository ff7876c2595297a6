"""``mmbench doctor``: whether what lies on the disk is what was written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import Json, console, make_table, print_json, shown
from mmbench.cli.run import DataRoot, Plugins
from mmbench.cli.status import Results, Where, results_folder
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.api import RunSummary
    from mmbench.store.integrity import Problem
    from mmbench.store.store import ResultStore


def doctor(
    target: Results,
    results: Where = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged files aside and compute their runs again.")
    ] = False,
    data_root: DataRoot = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Check every record, checkpoint and cache entry against its checksum.

    Exit code 1 when something is damaged and was not repaired. Nothing is ever deleted but what can be made
    again: a damaged record goes to the folder's quarantine/.
    """
    from mmbench.store import integrity as hospital
    from mmbench.store.store import ResultStore

    store = ResultStore(results_folder(target, results))
    problems = hospital.examine(store)
    done = hospital.repair(store, problems) if repair else {}
    damaged = sorted({p.run for p in problems if p.kind in ("record", "failure") and p.run})
    summary = _compute_again(store, damaged, data_root, plugin or [], json) if repair and damaged else None
    if json:
        listed = [{**asdict(p), "path": str(p.path), "done": done.get(str(p.path))} for p in problems]
        computed = [] if summary is None else list(summary.done)
        print_json({"results": str(store.root), "problems": listed, "computed_again": computed})
    else:
        _show(store, problems, done, summary)
    failed = summary is not None and summary.exit_code
    raise typer.Exit(1 if failed or (problems and not repair) else 0)


def _compute_again(
    store: ResultStore, runs: list[str], data_root: Path | None, plugins: list[Path], json: bool
) -> RunSummary | None:
    from mmbench.api import run
    from mmbench.cli.progress import RunDisplay

    plan = store.load_plan()
    known = {run.id for run in plan.runs}
    wanted = [id for id in runs if id in known]
    if not wanted:
        return None
    with RunDisplay(console(stderr=json)) as display:
        return run(
            plan.protocol,
            results=store.root,
            data_root=data_root,
            plugins=plugins,
            only=",".join(f"id={id}" for id in wanted),
            allow_mixed=True,
            listener=display,
        )


def _show(
    store: ResultStore, problems: list[Problem], done: dict[str, str], summary: RunSummary | None
) -> None:
    out = console()
    if not problems:
        count = plural(len(store.recorded()), "record")
        out.print(f"{shown(store.root)}: {count}, every file matches its checksum", soft_wrap=True)
        return
    table = make_table("kind", "where", "what", wrap=("where", "what"))
    for problem in problems:
        outcome = done.get(str(problem.path))
        table.add_row(
            problem.kind, shown(problem.path), f"{problem.what}; {outcome}" if outcome else problem.what
        )
    out.print(table)
    out.print()
    if summary is not None:
        out.print(f"{len(summary.done)} computed again, {len(summary.failed)} failed", style="bold")
    elif not done:
        out.print(
            f"mend it with: mmbench doctor {shown(store.root)} --repair", style="yellow", soft_wrap=True
        )
