"""``mmbench report``: page, tables and figures of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.cli.output import AllowMixed, Json, console, print_json, shown
from mmbench.cli.status import Results, Where, results_folder


def report(
    target: Results,
    results: Where = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; RESULTS/report when left out.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Compare ours with the publication's numbers.")
    ] = False,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(
            "--ledger", metavar="CSV", help="With --published: another paper's numbers; repeatable."
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Score again under other metric policies and list the verdicts that flip."
        ),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write a complete run's summary there, small enough for git."),
    ] = None,
    command: Annotated[
        str, typer.Option(metavar="TEXT", help="With --reference: the command that made the results.")
    ] = "",
    allow_mixed: AllowMixed = False,
    json: Json = False,
) -> None:
    """Write page, tables and figures from the records that are there: no training, no data, no GPU."""
    from mmbench.report.build import Extras, make_report

    folder = results_folder(target, results)
    extras = Extras(tuple(ledger or ()), with_published=published or bool(ledger), sensitivity=sensitivity)
    made = make_report(
        folder, output.resolve() if output is not None else None, extras, allow_mixed=allow_mixed
    )
    if reference is not None:
        from mmbench.report.reference import write_reference

        write_reference(folder, reference, command or f"mmbench run {folder.name}")
    if json:
        print_json(made.as_json())
        return
    from mmbench.report.terminal import print_terminal

    out = console()
    if made.main is None:
        out.print("no run is finished, so there is nothing to report", style="yellow")
        return
    print_terminal(made.main, out, made.answer)
    out.print()
    if not made.fresh:
        out.print("nothing changed since the report was written", style="dim")
    out.print(f"page     {shown(made.page)}", soft_wrap=True)
    out.print(f"tables   {shown(made.folder / 'tables')}", soft_wrap=True)
    out.print(f"figures  {shown(made.folder / 'figures')}", soft_wrap=True)
