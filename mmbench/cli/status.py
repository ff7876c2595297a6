"""``mmbench status``: what a results folder holds of its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbench.cli.output import Json, console, duration, make_table, print_json, shown, size
from mmbench.terminal import print_table
from mmbench.text import plural

if TYPE_CHECKING:
    from rich.console import Console

    from mmbench.store.completion import Completion, RunCompletion

LAYERS = ("predictions", "scores")
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
    logs: Annotated[bool, typer.Option("--logs", help="Show what the runs' methods printed.")] = False,
    json: Json = False,
) -> None:
    """Show what is trained, predicted and scored of a protocol, what failed and what is missing."""
    from mmbench.store.completion import completion

    if target is None and results is None:
        found = [completion(path.parent) for path in sorted(Path("results").glob("*/plan.json"))]
        if json:
            print_json([one.as_json(runs=False) for one in found])
        else:
            _show_folders(console(), found)
        return
    one = completion(results_folder(target, results))
    if json:
        print_json(one.as_json())
        return
    out = console()
    _show_rows(out, one)
    _show_looks(out, one)
    _show_answer(out, one)
    if runs:
        _show_runs(out, one.runs)
    if logs:
        _show_logs(out, one)
    _show_failures(out, one.runs, tracebacks)
    if one.weights_bytes:
        out.print(f"weights  {size(one.weights_bytes)}")
    out.print(f"records  {shown(one.results)}", soft_wrap=True)


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
        from mmbench.protocol.loading import load_protocol

        name = load_protocol(target).name
    folder = Path("results") / name
    if not (folder / "plan.json").is_file():
        known = [path.parent.name for path in Path("results").glob("*/plan.json")]
        hint = suggestion(name, known) if known else f"make it with: mmbench run {target}"
        raise StoreError(f"{folder}: no such results folder; {hint}")
    return folder.resolve()


def _show_folders(out: Console, found: list[Completion]) -> None:
    from mmbench.store.completion import counts

    if not found:
        out.print("no results under ./results; begin with: mmbench run quickstart")
        return
    columns = ("runs", *counts([]), *LAYERS)
    table = make_table("protocol", *columns, "results", right=columns, wrap=("results",))
    for one in found:
        table.add_row(one.protocol, *_counts(one.runs), shown(one.results))
    print_table(out, table)


def _show_rows(out: Console, one: Completion) -> None:
    from mmbench.store.completion import counts

    columns = ("runs", *counts([]), *LAYERS)
    table = make_table("row", *columns, right=columns)
    for row in dict.fromkeys(found.run.label for found in one.runs):
        table.add_row(row, *_counts([found for found in one.runs if found.run.label == row]))
    table.add_section()
    table.add_row("all", *_counts(one.runs), style="bold")
    print_table(out, table)
    out.print()
    if one.not_in_protocol:
        out.print(f"{plural(one.not_in_protocol, 'trained run')} of an earlier version of the protocol")


def _show_looks(out: Console, one: Completion) -> None:
    """Say what a group-sequential run has decided, what is open, and what that would cost."""
    from mmbench.report.looks import look_lines, open_questions

    if one.looks is None:
        return
    if one.looks.looks:
        for line in look_lines(one.looks):
            out.print(line, soft_wrap=True, highlight=False)
    for line in open_questions(one.looks):
        out.print(f"  open  {line}", soft_wrap=True, highlight=False)
    following = one.looks.next_seeds
    if following is not None:
        cost = "" if one.open_seconds is None else f", about {duration(one.open_seconds)} of one worker"
        out.print(f"next look after {following} seeds: {plural(one.open_runs, 'run')} to train{cost}")
    out.print()


def _show_answer(out: Console, one: Completion) -> None:
    """Repeat what the last report said: the answer, what would settle more, what has not converged."""
    from mmbench.report.build import last_answer

    sentences = last_answer(one.results)
    if sentences:
        out.print("the last report said:", style="dim")
        for sentence in sentences:
            out.print(f"  {sentence}", soft_wrap=True, highlight=False)
        out.print()


def _counts(runs: Sequence[RunCompletion]) -> list[Any]:
    """Return a row's numbers: its runs by state, then predictions and scores as done/asked."""
    from rich.text import Text

    from mmbench.store.completion import counts

    colours = {"done": "green", "failed": "red", "missing": "yellow"}
    cells: list[Any] = [str(len(runs))]
    cells += [Text(str(n), colours[state]) if n else Text("-", "dim") for state, n in counts(runs).items()]
    for layer in LAYERS:
        pairs: list[tuple[int, int]] = [getattr(one, layer) for one in runs]
        done, asked = (sum(pair[place] for pair in pairs) for place in (0, 1))
        cells.append(Text(f"{done}/{asked}", "green" if done == asked else "yellow"))
    return cells


def _show_runs(out: Console, runs: Sequence[RunCompletion]) -> None:
    columns = ("trained", *LAYERS)
    table = make_table("id", "run", "state", *columns, wrap=("run",), right=LAYERS)
    for one in runs:
        layers = ("/".join(map(str, pair)) for pair in (one.predictions, one.scores))
        trained = "yes" if one.trained else "no"
        table.add_row(one.run.id, one.run.describe(), one.state, trained, *layers)
    print_table(out, table)
    out.print()


def _show_logs(out: Console, one: Completion) -> None:
    """Print what each run wrote to standard output and error, which ``mmbench run`` keeps off the screen."""
    from mmbench.store.store import log_path

    printed = [found.run for found in one.runs if log_path(one.results, found.run.id).is_file()]
    for run in printed:
        path = log_path(one.results, run.id)
        out.print(f"{run.describe()}  ({shown(path)})", style="bold", soft_wrap=True)
        text = path.read_text(encoding="utf-8", errors="replace").rstrip()
        out.print(text, soft_wrap=True, markup=False, highlight=False)
        out.print()
    if not printed:
        out.print("no run printed anything")


def _show_failures(out: Console, runs: Sequence[RunCompletion], tracebacks: bool) -> None:
    failures = [(one.run, one.failure) for one in runs if one.failure is not None]
    for run, failure in failures:
        where = "" if failure.layer == "run" else f"{failure.layer}: "
        out.print(f"failed  {run.describe()}  {where}{failure.error}", style="red", soft_wrap=True)
        if tracebacks and failure.traceback:
            out.print(failure.traceback.rstrip(), soft_wrap=True)
            out.print()
    if failures and not tracebacks:
        out.print("--tracebacks shows where; mmbench run with --retry-failed repeats them", style="dim")
