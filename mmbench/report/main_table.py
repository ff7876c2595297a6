"""The publication's table: rows are model and label budgets, column groups in-domain and cross-domain.

Rows follow Table 2 of Haque et al. 2021 (arXiv:2010.14731): grouped by model, then by budgets; trivial baselines stand
last.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mmbench.errors import StoreError
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol, domain_name
from mmbench.protocol.vocabulary import Budget, Task, budget_order
from mmbench.store.frames import summaries
from mmbench.store.provenance import stored_mixtures
from mmbench.store.record import StoredPlan
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

MAIN_METRICS = ("accuracy", "f1_normal", "f1_pneumonia", "dice", "hausdorff", "ssim")
SCOPES = ("in-domain", "cross-domain")
LONG_COLUMNS = (
    "row",
    "method",
    "trivial",
    "budget_classification",
    "budget_segmentation",
    "scope",
    "domain",
    "task",
    "cases",
    "metric",
    "mean",
    "sd",
    "n",
)


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes
    ----------
    row, method : str
        The row's name and its method.
    classification, segmentation : str or None
        The budgets; None for a task that the method does not learn.
    trivial : bool
        Whether it is a constant predictor.
    """

    row: str
    method: str
    classification: str | None
    segmentation: str | None
    trivial: bool

    def budget(self, task: Task) -> str | None:
        """Return one task's budget."""
        return self.classification if task == Task.CLASSIFICATION else self.segmentation


@dataclass(frozen=True)
class Column:
    """A metric on a domain."""

    in_domain: bool
    domain: str
    task: Task
    metric: str

    @property
    def scope(self) -> str:
        """``in-domain`` or ``cross-domain``."""
        return SCOPES[0] if self.in_domain else SCOPES[1]

    @property
    def heading(self) -> str:
        """The metric's short heading."""
        return METRICS[self.metric].heading if self.metric in METRICS else self.metric

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return self.metric not in METRICS or METRICS[self.metric].better == "higher"


@dataclass(frozen=True)
class Value:
    """Mean and standard deviation over trainings (seeds x labelled subsets).

    Attributes
    ----------
    mean, sd : float
        NaN where undefined; the deviation (n - 1 in the denominator) of fewer than two trainings is.
    n : int
        Trainings in which the metric is defined.
    """

    mean: float
    sd: float
    n: int


@dataclass(frozen=True)
class MainTable:
    """The table, ready to be rendered (:mod:`mmbench.report.render`).

    Attributes
    ----------
    title : str
        The protocol's name.
    lines : list of Line
        In order, trivial baselines last.
    columns : list of Column
        In order.
    results : dict
        By line and column; absent where there is no record.
    trainings : dict of Line to (int, int)
        How many trainings are there, and how many were planned.
    captions : list of str
        What a reader must know, one sentence each.
    long : DataFrame
        One row per line, domain and metric, every recorded metric included (``LONG_COLUMNS``).
    """

    title: str
    lines: list[Line]
    columns: list[Column]
    results: dict[tuple[Line, Column], Value]
    trainings: dict[Line, tuple[int, int]]
    long: pd.DataFrame
    captions: list[str] = field(default_factory=list)

    @property
    def wide(self) -> pd.DataFrame:
        """One row per line: names, budgets, trainings, then mean, sd and n of every column."""
        import pandas as pd

        rows = []
        for line in self.lines:
            found, planned = self.trainings[line]
            row: dict[str, Any] = {
                "row": line.row,
                "method": line.method,
                "trivial": line.trivial,
                "budget_classification": line.classification,
                "budget_segmentation": line.segmentation,
                "trainings": found,
                "planned": planned,
            }
            for column in self.columns:
                value = self.results.get((line, column), Value(math.nan, math.nan, 0))
                head = f"{column.scope} {column.domain} {column.metric}"
                row |= {f"{head} mean": value.mean, f"{head} sd": value.sd, f"{head} n": value.n}
            rows.append(row)
        return pd.DataFrame(rows)


def main_table(
    summaries: pd.DataFrame,
    protocol: Protocol,
    trivial: Collection[str],
    *,
    planned_runs: Sequence[RunSpec] | None = None,
    failed: Collection[str] = (),
    metrics: Sequence[str] = MAIN_METRICS,
) -> MainTable:
    """Lay a protocol's results out like the publication's table.

    Parameters
    ----------
    summaries : DataFrame
        As :func:`mmbench.store.frames.summaries` makes it.
    protocol : Protocol
        Gives the order of rows and domains, and what the captions say.
    trivial : collection of str
        Names of the rows that are constant predictors.
    planned_runs : sequence of RunSpec, optional
        What was planned: records of other runs are left out, and rows without records are shown empty.
    failed : collection of str
        Ids of planned runs that ended with an error.
    metrics : sequence of str
        Which metrics are columns.

    Raises
    ------
    StoreError
        If one training has two records.
    """
    from mmbench.report.captions import captions

    if planned_runs is not None:
        labels = {run.id: run.label for run in planned_runs}
        summaries = summaries[summaries["run"].isin(list(labels))]
        summaries = summaries.assign(row=summaries["run"].map(labels).astype("str"))
    trivial = frozenset(trivial)
    runs = summaries.drop_duplicates("run")
    found = _by_line(_line(run, trivial) for run in _records(runs))
    planned = found if planned_runs is None else _by_line(_planned_line(run, trivial) for run in planned_runs)
    lines = sorted({**planned, **found}, key=lambda line: _line_order(line, protocol))
    columns = _columns(summaries, protocol, metrics, lines)
    long, results = _aggregate(summaries, trivial, lines, columns)
    table = MainTable(
        title=protocol.name,
        lines=lines,
        columns=columns,
        results=results,
        trainings={line: (found.get(line, 0), planned.get(line, 0)) for line in lines},
        long=long,
    )
    missing = {run.id for run in planned_runs or []} - set(runs["run"])
    table.captions.extend(
        captions(
            table,
            protocol,
            planned=len(runs) if planned_runs is None else len({run.id for run in planned_runs}),
            missing=len(missing),
            failed=len(missing & set(failed)),
        )
    )
    return table


def stored_table(store: ResultStore, plan: StoredPlan) -> MainTable:
    """Lay out what a store holds of its plan; records that were made differently are told of in a caption.

    Raises
    ------
    StoreError
        If a record is damaged, or one training has two.
    """
    table = main_table(
        summaries(store),
        plan.protocol,
        plan.report.get("trivial_baselines", plan.protocol.trivial_baselines),
        planned_runs=plan.runs,
        failed=set(store.failed()),
    )
    table.captions.extend(f"Mixed records differ in {mixture}." for mixture in stored_mixtures(store))
    return table


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _line(run: Mapping[str, Any], trivial: Collection[str]) -> Line:
    return Line(
        row=run["row"],
        method=run["method"],
        classification=_text(run["budget_classification"]),
        segmentation=_text(run["budget_segmentation"]),
        trivial=run["row"] in trivial,
    )


def _planned_line(run: RunSpec, trivial: Collection[str]) -> Line:
    budgets = {task: str(budget) for task, budget in run.budgets.items()}
    return Line(
        row=run.label,
        method=run.method,
        classification=budgets.get(Task.CLASSIFICATION),
        segmentation=budgets.get(Task.SEGMENTATION),
        trivial=run.label in trivial,
    )


def _by_line(lines: Iterable[Line]) -> dict[Line, int]:
    counts: dict[Line, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return counts


def _budget(text: str | None) -> Budget | None:
    return None if text is None else "full" if text == "full" else int(text)


def _line_order(line: Line, protocol: Protocol) -> tuple[Any, ...]:
    listed = [entry.label for entry in protocol.methods] + list(protocol.trivial_baselines)
    position = listed.index(line.row) if line.row in listed else len(listed)
    budgets = (budget_order(_budget(line.classification)), budget_order(_budget(line.segmentation)))
    return (line.trivial, position, line.row, *budgets)


def _columns(
    summaries: pd.DataFrame, protocol: Protocol, metrics: Sequence[str], lines: Sequence[Line]
) -> list[Column]:
    """Return the columns, in-domain before cross-domain; the protocol's domains before any other."""
    domains: dict[tuple[bool, Task, str], None] = {}
    for task in protocol.tasks:
        if not any(line.budget(task) is not None for line in lines):
            continue
        domains[(True, task, domain_name(protocol.sources.of(task)))] = None
        for target in protocol.targets.of(task):
            domains[(False, task, domain_name(target))] = None
    for part in _records(summaries.drop_duplicates(["in_domain", "task", "domain"])):
        domains.setdefault((bool(part["in_domain"]), Task(part["task"]), part["domain"]))
    ordered = sorted(domains, key=lambda key: (not key[0], list(Task).index(key[1])))
    return [
        Column(in_domain, domain, task, metric)
        for in_domain, task, domain in ordered
        for metric in metrics
        if metric in METRICS and METRICS[metric].task is task
    ]


def _aggregate(
    summaries: pd.DataFrame, trivial: Collection[str], lines: Sequence[Line], columns: Sequence[Column]
) -> tuple[pd.DataFrame, dict[tuple[Line, Column], Value]]:
    import pandas as pd

    keys = ["row", "method", "budget_classification", "budget_segmentation", "in_domain", "domain", "task"]
    keys += ["metric"]
    twice = summaries[summaries.duplicated([*keys, "subset", "seed"])]
    if len(twice):
        run = _records(twice)[0]
        raise StoreError(
            f"{run['row']}: draw {run['subset']}, seed {run['seed']} has two records with different settings; "
            "run the protocol again, so that its plan says which one counts"
        )
    results: dict[tuple[Line, Column], Value] = {}
    cases: dict[tuple[Line, Column], int] = {}
    grouped = summaries.groupby(keys, sort=False, dropna=False)
    measures = grouped.agg(
        mean=("value", "mean"), sd=("value", "std"), n=("value", "count"), cases=("cases", "first")
    )
    for row in _records(measures.reset_index()):
        key = (
            _line(row, trivial),
            Column(bool(row["in_domain"]), row["domain"], Task(row["task"]), row["metric"]),
        )
        results[key] = Value(float(row["mean"]), float(row["sd"]), int(row["n"]))
        cases[key] = int(row["cases"])
    order = {line: position for position, line in enumerate(lines)}
    place = {column: position for position, column in enumerate(columns)}
    ranked = sorted(results, key=lambda key: (order[key[0]], place.get(key[1], len(place))))
    rows = [
        {
            "row": line.row,
            "method": line.method,
            "trivial": line.trivial,
            "budget_classification": line.classification,
            "budget_segmentation": line.segmentation,
            "scope": column.scope,
            "domain": column.domain,
            "task": column.task.value,
            "cases": cases[line, column],
            "metric": column.metric,
            **asdict(results[line, column]),
        }
        for line, column in ranked
    ]
    return pd.DataFrame(rows, columns=list(LONG_COLUMNS)), results
