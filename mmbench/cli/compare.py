"""``mmbench compare``: the paired answer for two methods, or for two results folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import AllowMixed, Json, console, make_table, print_json
from mmbench.terminal import print_table

if TYPE_CHECKING:
    from mmbench.analysis.pairing import Answer, Answers

Word = Annotated[str, typer.Argument(metavar="A", help="A row's name, or a results folder.")]
Other = Annotated[str, typer.Argument(metavar="B", help="The row or folder to compare it with.")]


def compare(
    a: Word,
    b: Other,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where rows A and B are; the one folder under results/ that has them."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="ROW", help="With two folders: these rows only; repeatable."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="These metrics only; repeatable.")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", metavar="NAME", help="These domains only; repeatable.")
    ] = None,
    detail: Annotated[
        bool, typer.Option("--detail", help="Also every metric and budget by itself, with all tests.")
    ] = False,
    allow_mixed: AllowMixed = False,
    json: Json = False,
) -> None:
    """Say which of two methods is better, by how much, and how sure that is.

    A and B are rows of one results folder, or two results folders whose rows of the same name are paired.
    """
    from mmbench.analysis.pairing import answer
    from mmbench.analysis.sides import sides_of

    sides = sides_of(a, b, results=results, rows=method or ())
    answers = answer(sides, metrics=metric or (), domains=domain or (), allow_mixed=allow_mixed)
    if json:
        print_json(answers.as_json())
        return
    _show(answers)
    if detail or not answers.primary:
        _show_details(answers.found)
    for difference in answers.mixed:
        console().print(f"Mixed records differ in {difference}.", style="yellow", soft_wrap=True)


def _show(answers: Answers) -> None:
    from mmbench.report.answer import answer_notes, pair_sentence

    out = console()
    if not answers.primary:
        return
    for record in answers.primary:
        out.print(pair_sentence(record), soft_wrap=True)
    out.print()
    budgets = dict.fromkeys(one.budgets.text for record in answers.primary for one in record.budgets)
    columns = ("A", "B", "metric", "domain", "A - B", "interval", *budgets, "verdict")
    table = make_table(*columns, right=("A - B", "interval", *budgets), wrap=("A", "B", "domain"))
    for record in answers.primary:
        own, column = record.difference, record.column
        single = {one.budgets.text: f"{one.difference.value:+.3f}" for one in record.budgets}
        table.add_row(
            *(record.row, record.reference, column.metric, column.domain, f"{own.value:+.3f}"),
            f"{own.low:+.3f} {own.high:+.3f}" if own.has_interval else "–",
            *(single.get(text, "–") for text in budgets),
            record.verdict,
        )
    print_table(out, table)
    out.print()
    for sentence in answer_notes(answers):
        out.print(sentence, style="dim", soft_wrap=True)


def _show_details(answers: Sequence[Answer]) -> None:
    from mmbench.report.answer import detail_notes

    out = console()
    numbers = ("of A", "of B", "A - B", "interval", "p", "p Holm", "p ranks", "P(A better)")
    table = make_table(
        "A", "B", "metric", "domain", "labels", *numbers, right=numbers, wrap=("A", "B", "domain")
    )
    for one in answers:
        test = one.comparison
        own = test.difference
        table.add_row(
            *(test.row_a, test.row_b, test.column.metric, test.column.domain, test.budgets.text),
            *(_number(value) for value in (test.estimate_a, test.estimate_b, own.value)),
            "–" if own.low != own.low else f"{own.low:+.3f} {own.high:+.3f}",
            *(_number(value) for value in (own.p, test.p_holm, test.signed_rank_p, test.superiority)),
        )
    print_table(out, table)
    out.print()
    for sentence in detail_notes(answers):
        out.print(sentence, style="dim", soft_wrap=True)


def _number(value: float) -> str:
    if value != value:
        return "–"
    return "<.001" if 0 <= value < 0.0005 and value != 0 else f"{value:.3f}"
