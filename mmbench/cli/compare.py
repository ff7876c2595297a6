"""``mmbench compare``: the paired answer for two methods, or for two results folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbench.cli.output import AllowMixed, Json, console, make_table, print_json

if TYPE_CHECKING:
    from mmbench.report.pairing import Side

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
    allow_mixed: AllowMixed = False,
    json: Json = False,
) -> None:
    """Say which of two methods is better, by how much, and how sure that is.

    A and B are rows of one results folder, or two results folders whose rows of the same name are paired.
    """
    from mmbench.report.pairing import compare_sides, differences_in_making
    from mmbench.store.provenance import refuse_mixtures

    tests, mixed = [], {}
    for one, other in _sides(a, b, results, method or []):
        differences = differences_in_making(one, other)
        if one.store.root == other.store.root and not allow_mixed:
            refuse_mixtures(one.store, differences)
        mixed.update(dict.fromkeys(map(str, differences)))
        tests += [
            (test, one.plan.protocol)
            for test in compare_sides(one, other, metrics=metric or (), domains=domain or ())
        ]
    if json:
        print_json([{**test, "mixed": list(mixed)} for test, _ in tests])
        return
    _show(tests)
    for difference in mixed:
        console().print(f"Mixed records differ in {difference}.", style="yellow", soft_wrap=True)


def _sides(a: str, b: str, results: Path | None, methods: list[str]) -> list[tuple[Side, Side]]:
    from mmbench.errors import StoreError, UserError, suggestion
    from mmbench.report.pairing import Side
    from mmbench.store.store import ResultStore

    if results is None and (_is_results(a) or _is_results(b)):
        stores = [ResultStore(_results_at(folder)) for folder in (a, b)]
        plans = [store.load_plan() for store in stores]
        rows = [list(dict.fromkeys(run.label for run in plan.runs)) for plan in plans]
        trivial = {label for plan in plans for label in plan.report.get("trivial_baselines", ())}
        shared = [row for row in rows[0] if row in rows[1] and row not in trivial]
        for row in methods:
            if row not in shared:
                raise StoreError(f"--method {row}: not a row of both folders; {suggestion(row, shared)}")
        found = [
            tuple(
                Side(f"{row} ({name})", store, plan, row)
                for name, store, plan in zip(_names(a, b), stores, plans, strict=True)
            )
            for row in methods or shared
        ]
        if not found:
            raise StoreError(
                f"{a} and {b} share no row; theirs are {', '.join(rows[0])} and {', '.join(rows[1])}"
            )
        return found  # type: ignore[return-value]  # two sides each
    if methods:
        raise UserError("--method goes with two results folders; here A and B name the rows already")
    if a == b:
        raise UserError(f"{a} cannot be compared with itself; name two rows")
    folder = results.resolve() if results is not None else _folder_with(a, b)
    store = ResultStore(folder)
    plan = store.load_plan()
    return [(Side(a, store, plan, a), Side(b, store, plan, b))]


def _is_results(word: str) -> bool:
    return (_results_at(word) / "plan.json").is_file()


def _results_at(word: str) -> Path:
    """Return the folder that a word means: a path, or the name of one under results/."""
    path = Path(word)
    return (path if path.is_dir() else Path("results") / word).resolve()


def _names(a: str, b: str) -> tuple[str, str]:
    """Return the shortest endings of two paths that differ."""
    ones, others = Path(a).resolve().parts, Path(b).resolve().parts
    for length in range(1, min(len(ones), len(others))):
        if ones[-length:] != others[-length:]:
            return "/".join(ones[-length:]), "/".join(others[-length:])
    return a, b


def _folder_with(*rows: str) -> Path:
    from mmbench.errors import StoreError
    from mmbench.store.store import ResultStore

    folders = sorted(path.parent for path in Path("results").glob("*/plan.json"))
    labels = {folder: {run.label for run in ResultStore(folder).load_plan().runs} for folder in folders}
    having = [folder for folder in folders if labels[folder] >= set(rows)]
    if len(having) == 1:
        return having[0].resolve()
    names = " and ".join(rows)
    if having:
        listed = ", ".join(str(folder) for folder in having)
        raise StoreError(f"{names} are rows of {listed}; choose one with --results")
    known = sorted(set().union(*labels.values())) if labels else []
    where = f"no folder under results/ has the rows {names}"
    hint = f"rows there: {', '.join(known)}" if known else "there are no results yet"
    raise StoreError(f"{where} ({hint}); name a folder with --results, or two results folders")


def _show(tests: list[tuple[dict[str, Any], Any]]) -> None:
    from mmbench.report.pairing import describe

    out = console()
    for test, protocol in tests:
        out.print(describe(test, protocol), soft_wrap=True)
    out.print()
    numbers = ("of A", "of B", "A - B", "interval", "p", "p Holm", "p ranks", "P(A better)")
    table = make_table(
        "A", "B", "metric", "domain", "labels", *numbers, "verdict", right=numbers, wrap=("A", "B", "domain")
    )
    for test, _ in tests:
        table.add_row(
            *(str(test[key]) for key in ("row_a", "row_b", "metric", "domain", "budget")),
            *(_number(test[key]) for key in ("estimate_a", "estimate_b", "difference")),
            f"{test['low']:+.3f} {test['high']:+.3f}",
            *(_number(test[key]) for key in ("p", "p_holm", "signed_rank_p", "superiority")),
            test["verdict"],
        )
    out.print(table)
    out.print()
    for sentence in _notes(tests):
        out.print(sentence, style="dim", soft_wrap=True)


def _notes(tests: list[tuple[dict[str, Any], Any]]) -> list[str]:
    first, protocol = tests[0]
    statistics = protocol.statistics
    return [
        "p: t test over trainings and patients, dual to the interval. p Holm: corrected over the "
        f"{first['family']} comparisons of one metric shown. p ranks: exact signed-rank test over "
        f"{first['trainings']} pairs of trainings.",
        f"Differences up to {statistics.equivalence:g} (distances: "
        f"{100 * statistics.distance_equivalence:g} % of the image's diagonal) are too small to matter.",
        *(_by_training(test, 1 - statistics.confidence) for test, _ in tests if test["case_tests"]["p"]),
    ]


def _by_training(test: dict[str, Any], alpha: float) -> str:
    p = test["case_tests"]["p"]
    small = sum(value < alpha for value in p)
    return (
        f"{test['case_tests']['name']}, {test['metric']} on {test['domain']} at {test['budget']}, each pair "
        f"of trainings by itself: {small} of {len(p)} differ (p from {min(p):.2g} to {max(p):.2g})."
    )


def _number(value: float) -> str:
    if value != value:
        return "–"
    return "<.001" if 0 <= value < 0.0005 and value != 0 else f"{value:.3f}"
