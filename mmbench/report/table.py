"""The main table, whatever it is written in: lines, columns, entries and notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from mmbench.analysis.analysis import Analysis
from mmbench.analysis.matrix import Matrix, Trainings, Value
from mmbench.analysis.records import CellEstimate
from mmbench.analysis.rows import Cell, Column
from mmbench.protocol.vocabulary import Task
from mmbench.report.marks import TRANSDUCTIVE, marks_of
from mmbench.report.notes import interval_notes, spread_notes
from mmbench.report.text import ANY_BUDGET, NOT_LEARNED, NOT_THERE, UNDEFINED, number
from mmbench.stats.verdicts import Verdict

MODEL, LABELS_CLASSIFICATION, LABELS_SEGMENTATION, TRAININGS = "Model", "|Dc|", "|Ds|", "n"


@dataclass(frozen=True)
class Entry:
    """One number of the table.

    Attributes
    ----------
    text : str
        The number as it is printed, or why there is none.
    interval : str
        ``[low, high]``; empty where it is not shown.
    marks : str
        Any of the marks of :mod:`mmbench.report.marks`.
    best : bool
        Whether no compatible cell has a better mean.
    mean, sd, low, high : float
        Unrounded, in the metric's unit; NaN where unknown.
    n : int
        Trainings behind it.
    verdict : str or None
        On the cell against the reference.
    record : CellEstimate or None
        The estimate behind it, where intervals are shown.
    """

    text: str
    interval: str = ""
    marks: str = ""
    best: bool = False
    mean: float = math.nan
    sd: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    verdict: Verdict | None = None
    record: CellEstimate | None = None

    @property
    def shown(self) -> tuple[str, str]:
        """What a reader sees of its numbers."""
        return self.text, self.interval


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    cell : Cell
        Whose numbers stand in it; the first one where several are shown as one.
    budgets : tuple of str
        For classification and segmentation, as they are shown.
    trainings : Trainings
        Found and planned.
    entries : tuple of Entry
        One per column.
    transductive : bool
        Whether its method saw unlabelled images of domains that it is tested on.
    """

    cell: Cell
    budgets: tuple[str, str]
    trainings: Trainings
    entries: tuple[Entry, ...]
    transductive: bool = False

    @property
    def name(self) -> str:
        """The row's name with its mark."""
        return self.cell.row + TRANSDUCTIVE * self.transductive


@dataclass(frozen=True)
class Table:
    """The main table.

    Attributes
    ----------
    title : str
        The protocol's name.
    columns : tuple of Column
        In-domain first.
    lines : tuple of Line
        One per cell, trivial baselines last.
    notes : tuple of str
        What a reader must know, one sentence each.
    numbers : tuple of str
        The attributes of an entry that files hold of it.
    with_trainings : bool
        Whether the number of trainings has a column.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    numbers: tuple[str, ...]
    with_trainings: bool

    def part(self, columns: Sequence[Column]) -> Table:
        """Return the table with some of its columns, and the lines that have something to say there."""
        places = [self.columns.index(column) for column in columns]
        tasks = {column.task for column in columns}
        lines = [
            replace(line, entries=tuple(line.entries[place] for place in places))
            for line in self.lines
            if any(line.cell.budget(task) is not None for task in tasks)
        ]
        return replace(self, columns=tuple(columns), lines=tuple(lines))

    @property
    def shown(self) -> list[Line]:
        """The lines as they are printed: a trivial baseline that is the same at every budget has one."""
        found: list[Line] = []
        for (trivial, _), group in groupby(self.lines, key=lambda line: (line.cell.trivial, line.cell.row)):
            own = list(group)
            same = len({self._said(line) for line in own}) == 1
            found += [_at_any_budget(own[0])] if trivial and len(own) > 1 and same else own
        return found

    @property
    def scopes(self) -> list[tuple[str, list[str]]]:
        """The domains with their tasks, in-domain and cross-domain."""
        found: dict[str, dict[str, None]] = {}
        for column in self.columns:
            found.setdefault(column.scope, {})[f"{column.domain} ({column.task.value})"] = None
        return [(scope, list(domains)) for scope, domains in found.items()]

    @property
    def has_trivial(self) -> bool:
        """Whether a line is a trivial baseline."""
        return any(line.cell.trivial for line in self.lines)

    def _said(self, line: Line) -> tuple[object, ...]:
        trainings = line.trainings.text if self.with_trainings else ""
        return (trainings, *(entry.shown for entry in line.entries))


def spread_table(matrix: Matrix) -> Table:
    """Lay means and deviations over trainings out, as the publication prints its means."""
    return Table(
        title=matrix.protocol.name,
        columns=matrix.columns,
        lines=tuple(_lines(matrix, lambda cell, column: _spread(matrix.values.get((cell, column))))),
        notes=tuple(spread_notes(matrix)),
        numbers=("mean", "sd", "n"),
        with_trainings=True,
    )


def interval_table(analysis: Analysis) -> Table:
    """Lay means with intervals and marks out."""
    records = {(record.cell, record.column): record for record in analysis.records.estimates}
    alpha = 1 - analysis.protocol.statistics.confidence
    return Table(
        title=analysis.protocol.name,
        columns=analysis.matrix.columns,
        lines=tuple(
            _lines(analysis.matrix, lambda cell, column: _interval(records.get((cell, column)), alpha))
        ),
        notes=tuple(interval_notes(analysis)),
        numbers=("mean", "low", "high", "sd", "n", "verdict"),
        with_trainings=False,
    )


def _lines(matrix: Matrix, entry: Callable[[Cell, Column], Entry]) -> Iterator[Line]:
    for cell in matrix.cells:
        first, second = (cell.budget(task) or NOT_LEARNED for task in Task)
        entries = (
            Entry(NOT_LEARNED) if cell.budget(column.task) is None else entry(cell, column)
            for column in matrix.columns
        )
        yield Line(
            cell,
            (first, second),
            matrix.trainings[cell],
            tuple(entries),
            cell.row in matrix.transductive,
        )


def _at_any_budget(line: Line) -> Line:
    first, second = (NOT_LEARNED if budget == NOT_LEARNED else ANY_BUDGET for budget in line.budgets)
    return replace(line, budgets=(first, second))


def _spread(value: Value | None) -> Entry:
    if value is None:
        return Entry(NOT_THERE)
    text = UNDEFINED
    if value.n:
        text = number(value.mean) if math.isnan(value.sd) else f"{value.mean:.3f} ± {value.sd:.3f}"
    return Entry(text, mean=value.mean, sd=value.sd, n=value.n)


def _interval(record: CellEstimate | None, alpha: float) -> Entry:
    if record is None:
        return Entry(NOT_THERE)
    own = record.estimate
    undefined = math.isnan(own.value)
    return Entry(
        text=UNDEFINED if undefined else number(own.value),
        interval="" if math.isnan(own.low) else f"[{number(own.low)}, {number(own.high)}]",
        marks="" if undefined else marks_of(record, alpha),
        best=record.best,
        mean=own.value,
        sd=record.sd,
        low=own.low,
        high=own.high,
        n=own.trainings,
        verdict=record.verdict,
        record=record,
    )
