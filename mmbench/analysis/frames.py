"""The analysis' records as data frames, for export and figures; every column is named here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mmbench.analysis.matrix import Matrix
from mmbench.analysis.records import (
    CellEstimate,
    Comparison,
    MeanRank,
    Primary,
    RankPair,
    Records,
    VariancePart,
)
from mmbench.analysis.rows import Cell, Column, Place
from mmbench.stats.mixed import Estimate
from mmbench.stats.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd

Record = TypeVar("Record")
ALL_BUDGETS = "all"
_MISSING = ("budget_classification", "budget_segmentation", "verdict", "clears_trivial")
"""Columns whose missing values are None, not NaN."""
_BUDGETS = ("budget_classification", "budget_segmentation")
_CELL = ("row", "method", "trivial", *_BUDGETS)
_PLACE = ("scope", "domain", "task")
_COLUMN = (*_PLACE, "metric", "heading", "higher_is_better")
ESTIMATES = (
    *_CELL,
    *_COLUMN,
    *("estimate", "low", "high", "se", "df", "trainings", "over"),
    *("sd", "cases", "patients", "runs", "trivial_value", "clears_trivial", "ceiling", "best"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "family", "verdict", "tied_best"),
)
PRIMARY = (
    *("budget", *_COLUMN, "row", "reference", "difference", "low", "high", "level", "margin", "verdict"),
    *("p", "p_verdict", "family", "trainings", "over", "se", "df", "reason"),
    *("correlation", "saved", "collapsed", "hangs_on_collapsed", "look"),
)
COMPARISONS = (
    *("budget", *_BUDGETS, *_COLUMN, "row_a", "row_b", "estimate_a", "estimate_b"),
    *("difference", "low", "high", "se", "df", "p", "trainings", "over"),
    *("nadeau_bengio_p", "superiority", "rank_biserial", "p_holm", "family", "signed_rank_p"),
)
RANKS = (*_COLUMN, "row", "mean_rank", "low", "high", "group", "blocks", "friedman_p")
RANK_PAIRS = (*_COLUMN, "row_a", "row_b", "p_holm")
VARIANCE = ("row", *_BUDGETS, *_COLUMN, "component", "variance", "sd", "share")
CURVES = ("kind", "row", *_BUDGETS, *_PLACE, "x", "y", "count")
CASES = ("row", *_BUDGETS, *_PLACE, "case_id", "patient_id", "label", "value")
LONG = (*_CELL, *_PLACE, "cases", "metric", "mean", "sd", "n")


@dataclass(frozen=True)
class Frames:
    """The records as data frames.

    Attributes
    ----------
    estimates : DataFrame
        One line per cell, domain and metric (``ESTIMATES``).
    primary : DataFrame
        One line per primary comparison, with ``budget`` "all", and per budget behind it (``PRIMARY``).
    comparisons : DataFrame
        One line per two rows at one budget pair, domain and metric (``COMPARISONS``).
    ranks, rank_pairs : DataFrame
        Mean ranks per domain and metric, and pairs of rows (``RANKS``, ``RANK_PAIRS``).
    variance : DataFrame
        One line per cell, domain, metric and component (``VARIANCE``).
    curves, cases : DataFrame
        One line per point of a curve, and per cell and case (``CURVES``, ``CASES``).
    """

    estimates: pd.DataFrame
    primary: pd.DataFrame
    comparisons: pd.DataFrame
    ranks: pd.DataFrame
    rank_pairs: pd.DataFrame
    variance: pd.DataFrame
    curves: pd.DataFrame
    cases: pd.DataFrame


def frames_of(records: Records) -> Frames:
    """Return records as data frames."""
    return Frames(
        estimates=_frame(records.estimates, estimate_row, ESTIMATES),
        primary=_frame([line for own in records.primary for line in primary_rows(own)], dict, PRIMARY),
        comparisons=_frame(records.comparisons, comparison_row, COMPARISONS),
        ranks=_frame(records.ranks, _rank_row, RANKS),
        rank_pairs=_frame(records.rank_pairs, _pair_row, RANK_PAIRS),
        variance=_frame(records.variance, _variance_row, VARIANCE),
        curves=_stacked(
            [
                {"kind": curve.kind, **_where(curve.cell, curve.place)}
                | {"x": curve.x, "y": curve.y, "count": curve.count}
                for curve in records.curves
            ],
            CURVES,
        ),
        cases=_stacked(
            [
                {**_where(own.cell, own.place), "case_id": own.case_ids, "patient_id": own.patient_ids}
                | {"label": own.labels, "value": own.means}
                for own in records.cases
            ],
            CASES,
        ),
    )


def long_frame(matrix: Matrix) -> pd.DataFrame:
    """Return one line per cell, domain and metric of a matrix, every recorded metric included (``LONG``)."""
    import pandas as pd

    rows = [
        {
            **cell_row(cell),
            **_place_row(column.place),
            "cases": value.cases,
            "metric": column.metric,
            "mean": value.mean,
            "sd": value.sd,
            "n": value.n,
        }
        for (cell, column), value in matrix.values.items()  # noqa: PD011
    ]
    return pd.DataFrame(rows, columns=list(LONG))


def cell_row(cell: Cell) -> dict[str, Any]:
    """Return what names a cell in a frame."""
    return {
        "row": cell.row,
        "method": cell.method,
        "trivial": cell.trivial,
        "budget_classification": cell.classification,
        "budget_segmentation": cell.segmentation,
    }


def estimate_row(record: CellEstimate) -> dict[str, Any]:
    """Return an estimate as a line of a frame."""
    own, against = record.estimate, record.against
    nothing = float("nan")
    return {
        **cell_row(record.cell),
        **_column_row(record.column),
        "estimate": own.value,
        "low": own.low,
        "high": own.high,
        "se": own.se,
        "df": own.df,
        "trainings": own.trainings,
        "over": own.over,
        "sd": record.sd,
        "cases": record.cases,
        "patients": record.patients,
        "runs": " ".join(record.runs),
        "trivial_value": record.trivial_value,
        "clears_trivial": record.clears_trivial,
        "ceiling": record.ceiling,
        "best": record.best,
        "difference": against.difference if against else nothing,
        "difference_low": against.low if against else nothing,
        "difference_high": against.high if against else nothing,
        "p": against.p if against else nothing,
        "p_holm": against.p_holm if against else nothing,
        "family": against.family if against else 0,
        "verdict": record.verdict,
        "tied_best": record.tied_best,
    }


def comparison_row(record: Comparison) -> dict[str, Any]:
    """Return a comparison as a line of a frame, or as JSON values."""
    own = record.difference
    return {
        "budget": record.budgets.text,
        "budget_classification": record.budgets.classification,
        "budget_segmentation": record.budgets.segmentation,
        **_column_row(record.column),
        "row_a": record.row_a,
        "row_b": record.row_b,
        "estimate_a": record.estimate_a,
        "estimate_b": record.estimate_b,
        "difference": own.value,
        "low": own.low,
        "high": own.high,
        "se": own.se,
        "df": own.df,
        "p": own.p,
        "trainings": own.trainings,
        "over": own.over,
        "nadeau_bengio_p": record.nadeau_bengio_p,
        "superiority": record.superiority,
        "rank_biserial": record.rank_biserial,
        "p_holm": record.p_holm,
        "family": record.family,
        "signed_rank_p": record.signed_rank_p,
    }


def primary_rows(record: Primary) -> list[dict[str, Any]]:
    """Return a primary comparison and what stands behind it as lines of a frame, or as JSON values."""
    whole = {
        **_difference_row(record, record.difference, record.verdict),
        "budget": ALL_BUDGETS,
        "level": record.level,
        "p_verdict": record.p_verdict,
        "family": record.family,
        "reason": record.reason,
        "correlation": record.correlation,
        "saved": record.saved,
        "collapsed": " ".join(record.collapsed),
        "hangs_on_collapsed": record.hangs,
        "look": record.look,
    }
    single = [
        {**_difference_row(record, one.difference, one.verdict), "budget": one.budgets.text}
        for one in record.budgets
    ]
    return [whole, *single]


def _difference_row(record: Primary, own: Estimate, verdict: Verdict | None) -> dict[str, Any]:
    return {
        **_column_row(record.column),
        "row": record.row,
        "reference": record.reference,
        "margin": record.margin,
        "verdict": verdict,
        **{key: getattr(own, key) for key in ("low", "high", "p", "trainings", "over", "se", "df")},
        "difference": own.value,
    }


def _rank_row(record: MeanRank) -> dict[str, Any]:
    return {
        **_column_row(record.column),
        "row": record.row,
        "mean_rank": record.mean_rank,
        "low": record.low,
        "high": record.high,
        "group": record.group,
        "blocks": record.blocks,
        "friedman_p": record.friedman_p,
    }


def _pair_row(record: RankPair) -> dict[str, Any]:
    return {
        **_column_row(record.column),
        "row_a": record.row_a,
        "row_b": record.row_b,
        "p_holm": record.p_holm,
    }


def _variance_row(record: VariancePart) -> dict[str, Any]:
    return {
        **_budget_row(record.cell),
        **_column_row(record.column),
        "component": record.component,
        "variance": record.variance,
        "sd": record.sd,
        "share": record.share,
    }


def _budget_row(cell: Cell) -> dict[str, Any]:
    return {
        "row": cell.row,
        "budget_classification": cell.classification,
        "budget_segmentation": cell.segmentation,
    }


def _place_row(place: Place) -> dict[str, Any]:
    return {"scope": place.scope, "domain": place.domain, "task": place.task.value}


def _column_row(column: Column) -> dict[str, Any]:
    return {
        **_place_row(column.place),
        "metric": column.metric,
        "heading": column.heading,
        "higher_is_better": column.higher_is_better,
    }


def _where(cell: Cell, place: Place) -> dict[str, Any]:
    return {**_budget_row(cell), **_place_row(place)}


def _frame(
    records: Iterable[Record], row: Callable[[Record], dict[str, Any]], columns: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd

    return _with_none(pd.DataFrame([row(record) for record in records], columns=list(columns)))


def _stacked(parts: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return one frame of parts whose arrays are columns and whose single values are repeated."""
    import pandas as pd

    if not parts:
        return pd.DataFrame(columns=list(columns))
    return _with_none(pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)[list(columns)])


def _with_none(frame: pd.DataFrame) -> pd.DataFrame:
    for column in _MISSING:
        if column in frame:
            frame[column] = frame[column].astype(object)
            frame[column] = frame[column].where(frame[column].notna(), None)
    return frame
