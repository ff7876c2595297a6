"""The matrix of a protocol: each cell's mean over trainings in every column.

Rows follow Table 2 of Haque et al. 2021 (arXiv:2010.14731): grouped by model, then by budgets; trivial
baselines stand last. Columns are in-domain first, then cross-domain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmbench.analysis.results import Results
from mmbench.analysis.rows import Cell, Column, Place, cell_order, known_text
from mmbench.errors import StoreError
from mmbench.protocol.metrics import METRICS, main_metrics
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol, domain_name
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ["row", "method", "budget_classification", "budget_segmentation", "in_domain", "domain", "task"]


@dataclass(frozen=True)
class Value:
    """Mean and standard deviation over trainings (seeds x labelled subsets).

    Attributes
    ----------
    mean, sd : float
        NaN where undefined; the deviation (n - 1 in the denominator) of fewer than two trainings is.
    n : int
        Trainings in which the metric is defined.
    cases : int
        Of the domain.
    """

    mean: float
    sd: float
    n: int
    cases: int


@dataclass(frozen=True)
class Trainings:
    """How many trainings of a cell are there, and how many were planned."""

    found: int
    planned: int

    @property
    def text(self) -> str:
        """The number found, with the number planned where some are missing."""
        return str(self.found) if self.found >= self.planned else f"{self.found}/{self.planned}"


@dataclass(frozen=True)
class Matrix:
    """Every cell of a protocol with its means.

    Attributes
    ----------
    protocol : Protocol
        What was asked for.
    cells : tuple of Cell
        In order, trivial baselines last.
    columns : tuple of Column
        Of the main metrics, in order.
    values : mapping
        By cell and column, in order, every recorded metric included; absent where there is no record.
    trainings : mapping of Cell to Trainings
        Found and planned.
    planned, missing, failed : int
        Runs planned; of these, without a record; of these, ended with an error.
    mixed : tuple of str
        In what the making of the records differs.
    transductive : mapping of str to str
        Rows whose method saw unlabelled images of domains that it is tested on, and how.
    """

    protocol: Protocol
    cells: tuple[Cell, ...]
    columns: tuple[Column, ...]
    values: Mapping[tuple[Cell, Column], Value]
    trainings: Mapping[Cell, Trainings]
    planned: int
    missing: int = 0
    failed: int = 0
    mixed: tuple[str, ...] = ()
    transductive: Mapping[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> dict[Place, int]:
        """Number of test cases of every place that was scored."""
        return {column.place: value.cases for (_, column), value in self.values.items()}


def matrix_of(
    summaries: pd.DataFrame,
    protocol: Protocol,
    trivial: Collection[str],
    *,
    runs: Sequence[RunSpec] | None = None,
    failed: Collection[str] = (),
    mixed: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    transductive: Mapping[str, str] | None = None,
) -> Matrix:
    """Lay a protocol's results out like the publication's table.

    Parameters
    ----------
    summaries : DataFrame
        As :func:`mmbench.store.frames.summaries` makes it.
    protocol : Protocol
        Gives the order of rows and domains.
    trivial : collection of str
        Names of the rows that are constant predictors.
    runs : sequence of RunSpec, optional
        What was planned: records of other runs are left out, and cells without records are kept, empty.
    failed : collection of str
        Ids of planned runs that ended with an error.
    mixed : sequence of str
        In what the making of the records differs.
    metrics : sequence of str, optional
        Which metrics are columns; those of the protocol's main table when left out.
    transductive : mapping of str to str, optional
        Rows whose method saw unlabelled images of domains that it is tested on, and how.

    Raises
    ------
    StoreError
        If one training has two records.
    """
    if runs is not None:
        labels = {run.id: run.label for run in runs}
        summaries = summaries[summaries["run"].isin(list(labels))]
        summaries = summaries.assign(row=summaries["run"].map(labels).astype("str"))
    trivial = frozenset(trivial)
    recorded = summaries.drop_duplicates("run")
    found = Counter(_cell(key, trivial) for key in recorded[_KEYS[:4]].itertuples(index=False, name=None))
    planned = found if runs is None else Counter(_planned_cell(run, trivial) for run in runs)
    cells = tuple(sorted(planned | found, key=lambda cell: cell_order(cell, protocol)))
    metrics = metrics or main_metrics(protocol.classes, protocol.structures)
    columns = _columns(summaries, protocol, metrics, cells)
    ids = set(recorded["run"]) if runs is None else {run.id for run in runs}
    missing = ids - set(recorded["run"])
    return Matrix(
        protocol=protocol,
        cells=cells,
        columns=columns,
        values=_values(summaries, trivial, cells, columns),
        trainings={cell: Trainings(found[cell], planned[cell]) for cell in cells},
        planned=len(ids),
        missing=len(missing),
        failed=len(missing & set(failed)),
        mixed=tuple(mixed),
        transductive=transductive or {},
    )


def stored_matrix(results: Results) -> Matrix:
    """Lay out what a results folder holds of its plan.

    Raises
    ------
    StoreError
        If a record is damaged, or one training has two.
    """
    return matrix_of(
        results.summaries,
        results.protocol,
        results.trivial,
        runs=results.runs,
        failed=results.failed,
        mixed=tuple(map(str, results.mixtures)),
        transductive=results.report.get("transductive", {}),
    )


def _cell(naming: Sequence[Any], trivial: Collection[str]) -> Cell:
    """Return the cell that row, method and both budgets name."""
    row, method, first, second = naming
    return Cell(row, method, known_text(first), known_text(second), row in trivial)


def _planned_cell(run: RunSpec, trivial: Collection[str]) -> Cell:
    budgets = {task: str(budget) for task, budget in run.budgets.items()}
    return _cell((run.label, run.method, *(budgets.get(task) for task in Task)), trivial)


def _columns(
    summaries: pd.DataFrame, protocol: Protocol, metrics: Sequence[str], cells: Sequence[Cell]
) -> tuple[Column, ...]:
    """Return the columns, in-domain before cross-domain; the protocol's domains before any other."""
    places: dict[Place, None] = {}
    for task in protocol.tasks:
        if not any(cell.budget(task) is not None for cell in cells):
            continue
        places[Place(True, task, domain_name(protocol.sources.of(task)))] = None
        for target in protocol.targets.of(task):
            places[Place(False, task, domain_name(target))] = None
    parts = summaries.drop_duplicates(["in_domain", "task", "domain"])
    for inside, task, domain in zip(parts["in_domain"], parts["task"], parts["domain"], strict=True):
        places.setdefault(Place(bool(inside), Task(task), domain))
    ordered = sorted(places, key=lambda place: (not place.in_domain, list(Task).index(place.task)))
    return tuple(
        Column(place.in_domain, place.domain, place.task, metric)
        for place in ordered
        for metric in metrics
        if metric in METRICS and METRICS[metric].task is place.task
    )


def _values(
    summaries: pd.DataFrame, trivial: Collection[str], cells: Sequence[Cell], columns: Sequence[Column]
) -> dict[tuple[Cell, Column], Value]:
    """Return mean and deviation over trainings, in the order of cells and columns, other metrics last."""
    keys = [*_KEYS, "metric"]
    twice = summaries[summaries.duplicated([*keys, "subset", "seed"])]
    if len(twice):
        first = twice.iloc[0]
        raise StoreError(
            f"{first['row']}: labelled subset {first['subset']}, seed {first['seed']} has two records with "
            "different settings; run the protocol again, so that its plan says which one counts"
        )
    measures = summaries.groupby(keys, sort=False, dropna=False).agg(
        mean=("value", "mean"), sd=("value", "std"), n=("value", "count"), cases=("cases", "first")
    )
    found: dict[tuple[Cell, Column], Value] = {}
    for row in measures.reset_index().itertuples(index=False, name=None):
        *naming, inside, domain, task, metric, mean, sd, n, cases = row
        key = (_cell(naming, trivial), Column(bool(inside), domain, Task(task), metric))
        found[key] = Value(float(mean), float(sd), int(n), int(cases))
    order = {cell: position for position, cell in enumerate(cells)}
    place = {column: position for position, column in enumerate(columns)}
    ranked = sorted(found, key=lambda key: (order[key[0]], place.get(key[1], len(place))))
    return {key: found[key] for key in ranked}
