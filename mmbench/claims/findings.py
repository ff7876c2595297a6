"""What a ledger's numbers say about each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from mmbench.claims.consistency import constant_scores, dice_against_jaccard, fits_confusion_matrix
from mmbench.claims.ledger import CLASSIFICATION, Claim

NEAR = 0.006
"""How near a printed F1 must be to a constant predictor's to be called the same."""
TWO_DECIMALS = 0.005
"""What rounding to two decimals can move a number by: most printed F1s end in an even digit, as means of
five numbers of two decimals do."""
Rows = dict[tuple[str, str, str | None, str | None, str], dict[str, Claim]]


@dataclass(frozen=True)
class Finding:
    """What one check found in one table.

    Attributes
    ----------
    check : str
        What was tested.
    source, scope : str
        Where.
    model : str
        Of which model; empty where all are counted together.
    found, total : int
        Rows it was found in, of those it could be tested on.
    rows : list of str
        Names of the rows it was found in.
    meaning : str
        What follows.
    """

    check: str
    source: str
    scope: str
    model: str
    found: int
    total: int
    rows: list[str] = field(default_factory=list)
    meaning: str = ""


def check_claims(claims: Iterable[Claim]) -> list[Finding]:
    """Run every check that a ledger's numbers allow.

    Parameters
    ----------
    claims : iterable of Claim
        From :func:`mmbench.claims.ledger.load_ledger`.
    """
    claims = list(claims)
    rows: Rows = {}
    for claim in claims:
        rows.setdefault(claim.line, {})[claim.metric] = claim
    tables = list(dict.fromkeys((claim.source, claim.scope) for claim in claims))
    found = []
    for check in (_below_majority, _near_constant, _misfits, _gross_misfits):
        for source, scope in tables:
            found.append(check(_of(rows, source, scope), source, scope))
    for bound in ("below", "above"):
        for source, scope in tables:
            own = _of(rows, source, scope)
            for model in dict.fromkeys(next(iter(row.values())).model for row in own):
                found.append(_dice(own, source, scope, model, bound))
    found.append(_copies(rows))
    found.append(_disagreements(rows))
    return [finding for finding in found if finding.total]


def _of(rows: Rows, source: str, scope: str) -> list[dict[str, Claim]]:
    return [row for key, row in rows.items() if (key[0], key[4]) == (source, scope)]


def _count(
    rows: Sequence[dict[str, Claim]], hit: Callable[[dict[str, Claim]], bool]
) -> tuple[int, int, list[str]]:
    hits = [next(iter(row.values())).name for row in rows if hit(row)]
    return len(hits), len(rows), hits


def _constants(claim: Claim) -> dict[str, float]:
    assert claim.positives is not None
    return constant_scores(claim.cases - claim.positives, claim.positives)


def _below_majority(rows: list[dict[str, Claim]], source: str, scope: str) -> Finding:
    own = [row for row in rows if "accuracy" in row and row["accuracy"].positives is not None]
    found = _count(own, lambda row: row["accuracy"].value < _constants(row["accuracy"])["accuracy"])
    trivial = f"{_constants(own[0]['accuracy'])['accuracy']:.3f}" if own else ""
    return Finding(
        f"accuracy below the majority class alone ({trivial})",
        source,
        scope,
        "",
        *found,
        "such a classifier is worse than calling every case by the more frequent class",
    )


def _near_constant(rows: list[dict[str, Claim]], source: str, scope: str) -> Finding:
    own = [row for row in rows if "f1_pneumonia" in row and row["f1_pneumonia"].positives is not None]

    def near(row: dict[str, Claim]) -> bool:
        claim = row["f1_pneumonia"]
        constant = _constants(claim)["f1_pneumonia"]
        return abs(claim.value - constant) <= NEAR + 1e-9

    constant = f"{_constants(own[0]['f1_pneumonia'])['f1_pneumonia']:.3f}" if own else ""
    return Finding(
        f"F1-P within {NEAR} of all-positive ({constant})",
        source,
        scope,
        "",
        *_count(own, near),
        "the F1 of pneumonia is that of calling every case pneumonia",
    )


def _misfits(
    rows: list[dict[str, Claim]],
    source: str,
    scope: str,
    *,
    slack: float = 0.0,
    allowed: str = "",
    meaning: str = "no single run, or a wrong digit; the mean of several runs need not fit",
) -> Finding:
    """Find rows that no confusion matrix gives, each number off by its rounding and ``slack`` at most."""
    own = [
        row
        for row in rows
        if all(name in row for name in CLASSIFICATION) and row["accuracy"].positives is not None
    ]

    def misfit(row: dict[str, Claim]) -> bool:
        first = row["accuracy"]
        assert first.positives is not None
        numbers = [(row[name].value, row[name].half_unit + slack) for name in CLASSIFICATION]
        return not fits_confusion_matrix(
            numbers[0], numbers[1], numbers[2], first.cases - first.positives, first.positives
        )

    check = f"accuracy, F1-N and F1-P fit no confusion matrix{allowed}"
    return Finding(check, source, scope, "", *_count(own, misfit), meaning)


_gross_misfits = partial(
    _misfits,
    slack=TWO_DECIMALS,
    allowed=", two decimals allowed",
    meaning="further off than rounding every run to two decimals before averaging can explain",
)


def _dice(rows: list[dict[str, Claim]], source: str, scope: str, model: str, bound: str) -> Finding:
    own = [
        row for row in rows if {"dice", "jaccard"} <= row.keys() and next(iter(row.values())).model == model
    ]

    def outside(row: dict[str, Claim]) -> bool:
        dice, jaccard = row["dice"], row["jaccard"]
        return dice_against_jaccard((dice.value, dice.half_unit), (jaccard.value, jaccard.half_unit)) == bound

    limit = "its Jaccard" if bound == "below" else "2J / (1 + J)"
    return Finding(
        f"Dice {bound} {limit}",
        source,
        scope,
        model,
        *_count(own, outside),
        "impossible for any masks, and for means over any masks",
    )


def _copies(rows: Rows) -> Finding:
    """Find rows that print a number to the same three digits in-domain and cross-domain."""
    hits, total = [], 0
    for key, row in rows.items():
        other = rows.get((*key[:4], "cross-domain"))
        if key[4] != "in-domain" or other is None:
            continue
        for metric in ("jaccard", "ssim", "dice"):
            if metric in row and metric in other:
                total += 1
                if row[metric].printed == other[metric].printed:
                    hits.append(f"{row[metric].name} {metric} {row[metric].printed} ({key[0]})")
    return Finding(
        "the same overlap in-domain and cross-domain",
        "all",
        "both",
        "",
        len(hits),
        total,
        hits,
        "by chance about one in a hundred; else a copied run",
    )


def _disagreements(rows: Rows) -> Finding:
    """Find numbers that two sources print differently for the same row."""
    by_row: dict[tuple[str | None, ...], list[Claim]] = {}
    for row in rows.values():
        for claim in row.values():
            key = (*claim.line[1:], claim.dataset, claim.metric)
            by_row.setdefault(key, []).append(claim)
    pairs = [claims for claims in by_row.values() if len({claim.source for claim in claims}) > 1]
    hits = [
        f"{claims[0].name} {claims[0].scope} {claims[0].metric}: {' or '.join(c.printed for c in claims)}"
        for claims in pairs
        if len({claim.value for claim in claims}) > 1
    ]
    return Finding(
        "two tables print different numbers for one row",
        "all",
        "both",
        "",
        len(hits),
        len(pairs),
        hits,
        "one of them is not of that row",
    )
