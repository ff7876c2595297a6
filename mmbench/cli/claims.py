"""``mmbench claims``: published numbers, and whether they can be right."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import Json, console, make_table, print_json
from mmbench.terminal import print_table

if TYPE_CHECKING:
    from mmbench.claims.ledger import Claim

app = typer.Typer(no_args_is_help=True, help="Published numbers, and whether they can be right.")
Ledger = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[CSV]...", help="Ledgers of other papers; the shipped one when left out."),
]


@app.command("check")
def check(
    ledger: Ledger = None,
    rows: Annotated[bool, typer.Option("--rows", help="Also name the rows of every finding.")] = False,
    json: Json = False,
) -> None:
    """Test published numbers against each other, and against constant predictors."""
    from mmbench.claims.findings import check_claims

    found = check_claims(_claims(ledger))
    if json:
        print_json([asdict(finding) for finding in found])
        return
    out = console()
    table = make_table(
        "finding", "source", "scope", "rows", "of", right=("rows", "of"), wrap=("finding", "source")
    )
    for finding in found:
        if finding.found:
            what = f"{finding.model}: {finding.check}" if finding.model else finding.check
            table.add_row(what, finding.source, finding.scope, str(finding.found), str(finding.total))
    clean = sum(not finding.found for finding in found)
    if table.row_count:
        print_table(out, table)
        out.print()
    out.print(f"{clean} of {len(found)} checks found nothing; --json lists them all.", style="dim")
    for meaning in dict.fromkeys(f"{f.check}: {f.meaning}." for f in found if f.found):
        out.print(meaning, style="dim", soft_wrap=True)
    if rows:
        for finding in found:
            if finding.found:
                head = " ".join(
                    part for part in (finding.model, finding.check, finding.source, finding.scope) if part
                )
                out.print()
                out.print(head, style="bold", soft_wrap=True)
                out.print("; ".join(finding.rows), soft_wrap=True)


@app.command("list")
def list_claims(ledger: Ledger = None, json: Json = False) -> None:
    """List the ledger's sources and how many numbers it holds of each."""
    claims = _claims(ledger)
    if json:
        print_json([asdict(claim) for claim in claims])
        return
    table = make_table(
        "source", "scope", "dataset", "cases", "models", "numbers", right=("cases", "models", "numbers")
    )
    for key in dict.fromkeys((c.source, c.scope, c.dataset, c.cases) for c in claims):
        own = [c for c in claims if (c.source, c.scope, c.dataset, c.cases) == key]
        table.add_row(*(str(part) for part in key), str(len({c.model for c in own})), str(len(own)))
    print_table(console(), table)


def _claims(ledger: list[Path] | None) -> list[Claim]:
    from mmbench.claims.ledger import load_ledger, read_ledger

    if ledger:
        return [claim for path in ledger for claim in read_ledger(path)]
    return load_ledger()
