"""``mmbench status``: which runs a results folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbench.cli.output import Json, console, make_table, print_json, shown
from mmbench.text import plural

if TYPE_CHECKING:
    from rich.console import Console

    from mmbench.protocol.runs import RunSpec

STATES = ("done", "failed", "missing")
Results = Annotated[
    str, typer.Argument(metavar="RESULTS", help="A results folder, or the name or file of a protocol.")
]
Where = Annotated[
    Path | None, typer.Option("--results", metavar="DIR", help="The results folder, if not the usual one.")
]


def status(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[RESULTS]",
            help="A results folder, or the name or file of a protocol; all when left out.",
        ),
    ] = None,
    results: Where = None,
    tracebacks: Annotated[
        bool, typer.Option("--tracebacks", help="Show the tracebacks of failed runs.")
    ] = False,
    runs: Annotated[bool, typer.Option("--runs", help="List every run, not counts only.")] = False,
    json: Json = False,
) -> None:
    """Show which runs of a protocol are done, failed or missing."""
    if target is None and results is None:
        found = [_status(path.parent) for path in sorted(Path("results").glob("*/plan.json"))]
        if json:
            print_json([{key: item for key, item in entry.items() if key != "runs"} for entry in found])
        else:
            _show_folders(console(), found)
        return
    one = _status(results_folder(target, results))
    if json:
        print_json(one)
        return
    out = console()
    _show_rows(out, one)
    if runs:
        _show_cells(out, one)
    _show_failures(out, one, tracebacks)
    out.print(f"records  {shown(Path(one['results']) / 'runs')}", soft_wrap=True)


def results_folder(target: str | None, results: Path | None) -> Path:
    """Return the results folder that a command was pointed at.

    Raises
    ------
    StoreError
        If there is none.
    """
    from mmbench.errors import StoreError, suggestion

    if results is not None:
        return results.resolve()
    assert target is not None
    if (Path(target) / "plan.json").is_file():
        return Path(target).resolve()
    if Path(target).is_dir():
        raise StoreError(f"{target}: no plan.json, so no results folder; name results/<protocol>")
    name = target
    if Path(target).is_file():
        from mmbench.protocol.files import load_protocol

        name = load_protocol(target).name
    folder = Path("results") / name
    if not (folder / "plan.json").is_file():
        known = [path.parent.name for path in Path("results").glob("*/plan.json")]
        hint = suggestion(name, known) if known else f"make it with: mmbench run {target}"
        raise StoreError(f"{folder}: no such results folder; {hint}")
    return folder.resolve()


def _status(folder: Path) -> dict[str, Any]:
    from mmbench.store.store import ResultStore

    store = ResultStore(folder)
    plan, finished, failures = store.load_plan(), store.finished(), store.failed()
    runs = []
    for run in plan.runs:
        state = "done" if run.id in finished else "failed" if run.id in failures else "missing"
        entry = _run(run, state)
        if state == "failed":
            entry |= {"error": failures[run.id].error, "traceback": failures[run.id].traceback}
        runs.append(entry)
    return {
        "protocol": plan.protocol.name,
        "results": str(folder),
        **{state: sum(run["state"] == state for run in runs) for state in STATES},
        "not_in_protocol": len(finished - {run.id for run in plan.runs}),
        "runs": runs,
    }


def _run(run: RunSpec, state: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "row": run.label,
        "method": run.method,
        "budgets": {task.value: budget for task, budget in run.budgets.items()},
        "subset": run.subset,
        "seed": run.seed,
        "description": run.describe(),
        "state": state,
    }


def _show_folders(out: Console, found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("no results under ./results; begin with: mmbench run quickstart")
        return
    table = make_table("protocol", "runs", *STATES, "results", right=("runs", *STATES), wrap=("results",))
    for one in found:
        table.add_row(one["protocol"], str(len(one["runs"])), *_counts(one), shown(Path(one["results"])))
    out.print(table)


def _show_rows(out: Console, one: dict[str, Any]) -> None:
    table = make_table("row", "runs", *STATES, right=("runs", *STATES))
    for row in dict.fromkeys(run["row"] for run in one["runs"]):
        runs = [run for run in one["runs"] if run["row"] == row]
        counts = {state: sum(run["state"] == state for run in runs) for state in STATES}
        table.add_row(row, str(len(runs)), *_counts(counts))
    table.add_section()
    table.add_row("all", str(len(one["runs"])), *_counts(one), style="bold")
    out.print(table)
    out.print()
    if one["not_in_protocol"]:
        out.print(
            f"{plural(one['not_in_protocol'], 'record')} of an earlier version of the protocol beside them"
        )


def _counts(counts: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    colours = {"done": "green", "failed": "red", "missing": "yellow"}
    return [Text(str(counts[s]), colours[s]) if counts[s] else Text("-", "dim") for s in STATES]


def _show_cells(out: Console, one: dict[str, Any]) -> None:
    table = make_table("id", "run", "state", wrap=("run",))
    for run in one["runs"]:
        table.add_row(run["id"], run["description"], run["state"])
    out.print(table)
    out.print()


def _show_failures(out: Console, one: dict[str, Any], tracebacks: bool) -> None:
    failed = [run for run in one["runs"] if run["state"] == "failed"]
    for run in failed:
        out.print(f"failed  {run['description']}  {run['error']}", style="red", soft_wrap=True)
        if tracebacks and run["traceback"]:
            out.print(run["traceback"].rstrip(), soft_wrap=True)
            out.print()
    if failed and not tracebacks:
        out.print("--tracebacks shows where; mmbench run with --retry-failed repeats them", style="dim")
