"""The ledger of published numbers: one row per number, with its source and its test set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from mmbench.errors import ClaimError, suggestion
from mmbench.protocol.metrics import METRICS
from mmbench.tables import parse_table, read_text

COLUMNS = (
    "source",
    "model",
    "method",
    "budget_classification",
    "budget_segmentation",
    "scope",
    "dataset",
    "cases",
    "positives",
    "metric",
    "value",
    "marked",
)
OPTIONAL = frozenset({"positives", "marked", "method", "budget_classification", "budget_segmentation"})
SCOPES = ("in-domain", "cross-domain")
YARDSTICKS = "yardsticks.csv"
"""A shipped file beside the ledgers that holds no claims (:mod:`mmbench.claims.yardsticks`)."""
_MISSPELT = 0.85
"""Similarity from which a name is a misspelt one and not another."""
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
CLASSIFICATION = ("accuracy", "f1_normal", "f1_pneumonia")


@dataclass(frozen=True)
class Claim:
    """One published number.

    Attributes
    ----------
    source : str
        Publication and table.
    model : str
        As printed.
    method : str
        The plugin's name; empty where there is none.
    budget_classification, budget_segmentation : str or None
        ``"100"`` or ``"full"``; None for a task that the model does not learn.
    scope, dataset : str
        ``in-domain`` or ``cross-domain``, and the test set.
    cases : int
        Size of the test set.
    positives : int or None
        Its cases of pneumonia.
    metric : str
        The metric's name.
    printed : str
        The number as printed.
    marked : str
        The publication's own mark.
    """

    source: str
    model: str
    method: str
    budget_classification: str | None
    budget_segmentation: str | None
    scope: str
    dataset: str
    cases: int
    positives: int | None
    metric: str
    printed: str
    marked: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)

    @property
    def half_unit(self) -> float:
        """Half a unit of the last printed digit: how far rounding can have moved the number."""
        return 0.5 * 10.0 ** int(Decimal(self.printed).as_tuple().exponent)

    @property
    def line(self) -> tuple[str, str, str | None, str | None, str]:
        """What numbers of one printed row share: source, model, budgets, scope."""
        return (self.source, self.model, self.budget_classification, self.budget_segmentation, self.scope)

    @property
    def name(self) -> str:
        """The printed row's name, such as ``UMTL 100/10``."""
        budgets = "/".join(budget or "–" for budget in (self.budget_classification, self.budget_segmentation))
        return f"{self.model} {budgets}"


def load_ledger(paths: Iterable[Path] = ()) -> list[Claim]:
    """Return the shipped ledger's claims and those of further files.

    Raises
    ------
    ClaimError
        If a file cannot be read as a ledger, naming file, line and column.
    """
    claims = []
    for entry in sorted(files("mmbench.published").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".csv") and entry.name != YARDSTICKS:
            claims += parse_ledger(entry.read_text(encoding="utf-8"), entry.name)
    for path in paths:
        claims += read_ledger(path)
    return claims


def read_ledger(path: Path) -> list[Claim]:
    """Return the claims of one file; see :func:`load_ledger`."""
    return parse_ledger(read_text(path, ClaimError), str(path))


def parse_ledger(text: str, source: str) -> list[Claim]:
    """Return the claims of a ledger's text; ``source`` names it in messages."""
    required = [name for name in COLUMNS if name not in OPTIONAL]
    table = parse_table(text, source, required, known=COLUMNS, error=ClaimError)
    if not table.rows:
        raise ClaimError(f"{source}: holds no claim; add one row per published number")
    claims: dict[tuple[str | None, ...], Claim] = {}
    for row in table.rows:
        claim = _claim(row.values, row.where)
        if claims.setdefault((*claim.line, claim.dataset, claim.metric), claim) is not claim:
            raise ClaimError(f"{row.where}: {claim.name} has this {claim.metric} twice; remove one")
    return list(claims.values())


def _claim(row: dict[str, str], where: str) -> Claim:
    texts = {name: row.get(name, "") for name in COLUMNS}
    for name in COLUMNS:
        if not texts[name] and name not in OPTIONAL:
            raise ClaimError(f"{where}: {name} is empty; every claim needs one")
    if texts["scope"] not in SCOPES:
        raise ClaimError(f"{where}: scope {texts['scope']!r}; {suggestion(texts['scope'], SCOPES)}")
    cases = _whole(texts["cases"], "cases", where)
    positives = _whole(texts["positives"], "positives", where) if texts["positives"] else None
    if positives is not None and positives > cases:
        raise ClaimError(
            f"{where}: positives {positives} is larger than cases {cases}; they are a part of them"
        )
    for name in ("budget_classification", "budget_segmentation"):
        if texts[name] not in ("", "full") and not re.fullmatch(r"[1-9]\d*", texts[name]):
            raise ClaimError(f"{where}: {name} {texts[name]!r} is neither a number of labels nor full")
    check_value(texts["metric"], texts["value"], where)
    return Claim(
        source=texts["source"],
        model=texts["model"],
        method=texts["method"],
        budget_classification=texts["budget_classification"] or None,
        budget_segmentation=texts["budget_segmentation"] or None,
        scope=texts["scope"],
        dataset=texts["dataset"],
        cases=cases,
        positives=positives,
        metric=texts["metric"],
        printed=texts["value"],
        marked=texts["marked"],
    )


def _whole(text: str, name: str, where: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ClaimError(f"{where}: {name} {text!r} is not a whole number above 0")
    return int(text)


def check_value(metric: str, value: str, where: str) -> None:
    """Refuse what is not a number, or lies outside its metric's range."""
    if not re.fullmatch(_NUMBER, value):
        raise ClaimError(f"{where}: value {value!r} is not a number; write it as printed, like 0.813")
    try:
        known = METRICS[metric]
    except KeyError:
        if close := get_close_matches(metric, METRICS, n=1, cutoff=_MISSPELT):
            raise ClaimError(f"{where}: metric {metric!r}; did you mean {close[0]!r}?") from None
        return  # of the publication alone: listed, but not checked
    if not known.lowest <= float(value) <= known.highest:
        percent = f"; write {float(value) / 100:.5g}" if 1 < float(value) <= 100 else ""
        raise ClaimError(
            f"{where}: value {value} of {metric} is outside {known.lowest:g} to {known.highest:g}{percent}"
        )
