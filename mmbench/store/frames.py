"""Runs, predictions and scores of a results folder as data frames, for the report and for everybody else.

A computation of one's own starts from :func:`load_predictions`; ``docs/results-format.md`` has examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as TypingProtocol

from mmbench.errors import StoreError
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.specs import PredictionsSpec, ScoresSpec
from mmbench.protocol.vocabulary import Task
from mmbench.store.missing import is_predicted, is_scored
from mmbench.store.store import CASES, PROBABILITIES, ResultStore

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

RUN_COLUMNS = ("run", "row", "method", "budget_classification", "budget_segmentation", "subset", "seed")
DOMAIN_COLUMNS = ("domain", "task", "in_domain")
SUMMARY_COLUMNS = (*RUN_COLUMNS, *DOMAIN_COLUMNS, "cases", "metric", "value")
_KINDS = {"subset": "int64", "seed": "int64", "cases": "int64", "in_domain": "bool", "value": "float64"}

_CASE_KINDS = {
    "label": "Int64",
    "predicted": "Int64",
    "correct": "boolean",
    "empty_prediction": "boolean",
    "empty_truth": "boolean",
}
"""Types of per-case columns that one of the tasks does not have."""


class Asked(TypingProtocol):
    """What is asked for: a stored plan, or one that is being made."""

    @property
    def runs(self) -> list[RunSpec]:
        """Every run."""
        ...

    def scores(self, run: RunSpec) -> list[ScoresSpec]:
        """Return the scores that are asked of a run."""
        ...


Available = Iterable[tuple[RunSpec, Sequence[ScoresSpec]]]
"""Runs with their scores that are there, as :func:`available_scores` yields them."""


def load_runs(path: str | Path) -> pd.DataFrame:
    """Return the training runs of a results folder.

    Parameters
    ----------
    path : str or Path
        The folder ``results/<protocol>``.

    Returns
    -------
    DataFrame
        One row per finished run of the plan: ``run`` (id), ``row`` (the row's name), ``method``,
        ``budget_classification`` and ``budget_segmentation`` (text such as ``"10"`` or ``"full"``; missing
        for a task the method does not learn), ``subset``, ``seed``, ``parameters``, ``seconds`` (of
        training), ``peak_memory_mb``, ``selected_step``, ``weights`` (whether they are kept).

    Raises
    ------
    StoreError
        If the folder holds no plan or no finished run, or a record is damaged.
    """
    import pandas as pd

    store = ResultStore(Path(path))
    rows = []
    for run in trained(store, store.load_plan()):
        content = store.runs.content(run.id)
        rows.append(
            {
                **describe_run(run),
                "parameters": content["parameters"],
                "seconds": content["seconds"]["train"],
                "peak_memory_mb": content["peak_memory_mb"],
                "selected_step": content["selected_step"],
                "weights": content["kept"],
            }
        )
    if not rows:
        raise _nothing(store, "finished run")
    found = pd.DataFrame(rows)
    kinds = {"peak_memory_mb": "float64", "selected_step": "Int64", "weights": "bool"}
    return found.astype({**_dtypes(RUN_COLUMNS), **kinds})


def load_predictions(
    path: str | Path, *, task: str | None = None, domain: str | None = None, row: str | None = None
) -> pd.DataFrame:
    """Return the stored predictions of a results folder with their ground truth.

    Parameters
    ----------
    path : str or Path
        The folder ``results/<protocol>``.
    task, domain, row : str, optional
        Only these; masks of a large folder may not fit into memory.

    Returns
    -------
    DataFrame
        One row per run, domain, task and case: the run's columns as in :func:`load_runs`, ``domain``,
        ``task``, ``in_domain``, ``case_id``, ``patient_id``. For classification ``label`` and each class's
        probability under its name, such as ``normal`` and ``pneumonia`` (float32). For segmentation ``mask``
        and ``truth``, bool arrays of shape (S, S), or (structures, S, S) of several, the mask at the
        protocol's ``mask_threshold``.

    Raises
    ------
    StoreError
        If there are none, or one does not match its checksums.
    """
    import pandas as pd

    store = ResultStore(Path(path))
    plan = store.load_plan()
    frames = []
    for run in trained(store, plan):
        product = store.runs.content(run.id)["product"]
        for spec in plan.scores(run):
            wanted = (
                task in (None, spec.predictions.task.value),
                domain in (None, spec.predictions.domain.domain),
            )
            if row in (None, run.label) and all(wanted) and is_predicted(store, spec, product):
                frames.append(_predictions_frame(store, run, spec))
    if not frames:
        raise _nothing(store, "prediction")
    return pd.concat(frames, ignore_index=True)


def load_scores(path: str | Path) -> pd.DataFrame:
    """Return every score of a results folder.

    Parameters
    ----------
    path : str or Path
        The folder ``results/<protocol>``.

    Returns
    -------
    DataFrame
        One row per run, domain, task and case: the run's columns as in :func:`load_runs`, ``domain``,
        ``task``, ``in_domain``, ``case_id``, ``patient_id``; for classification ``label``,
        ``probability`` (of pneumonia; ``probability:<class>`` of other classes), ``predicted``, ``correct``;
        for segmentation every per-case metric.
        What a task does not have is missing.

    Raises
    ------
    StoreError
        If there are none, or one does not match its checksums.
    """
    store = ResultStore(Path(path))
    found = score_frame(store, available_scores(store, store.load_plan()))
    if found is None:
        raise _nothing(store, "score")
    bases = {str(name): str(name).split(":")[0] for name in found.columns}
    return found.astype({name: _CASE_KINDS[base] for name, base in bases.items() if base in _CASE_KINDS})


def trained(store: ResultStore, plan: Asked) -> list[RunSpec]:
    """Return the planned runs that are trained and whose training did not fail since."""
    failed = {id for id, failure in store.failed().items() if failure.layer == "run"}
    return [run for run in plan.runs if run.id not in failed and store.runs.has(run.id)]


def available_scores(store: ResultStore, plan: Asked) -> Iterator[tuple[RunSpec, list[ScoresSpec]]]:
    """Yield each trained run with the scores that are there, of its weights and predictions.

    Parameters
    ----------
    store : ResultStore
        Where to read.
    plan : StoredPlan or Plan
        What is asked for.

    Raises
    ------
    StoreError
        If a record is damaged.
    """
    for run in trained(store, plan):
        product = store.runs.content(run.id)["product"]
        specs = [
            spec
            for spec in plan.scores(run)
            if is_scored(store, spec) and is_predicted(store, spec, product, scored=True)
        ]
        yield run, specs


def score_frame(store: ResultStore, available: Available) -> pd.DataFrame | None:
    """Return the per-case scores that are there, as :func:`load_scores`; None without any."""
    import pyarrow as pa

    tables = []
    for run, specs in available:
        for spec in specs:
            cases = store.scores.table(spec.id, CASES)
            about = {**describe_run(run), **_describe_domain(spec.predictions)}
            tables.append(_with_columns(cases, about))
    if not tables:
        return None
    # One conversion of all scores, not one for each.
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def summaries(store: ResultStore, available: Available) -> pd.DataFrame:
    """Return the summary metrics that are there in long form, without opening per-case tables.

    Returns
    -------
    DataFrame
        One row per run, domain, task and metric, with the columns ``SUMMARY_COLUMNS``; ``value`` is NaN
        where the metric is undefined.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in SUMMARY_COLUMNS}
    for run, specs in available:
        for spec in specs:
            content = store.scores.content(spec.id)
            about = {**describe_run(run), **_describe_domain(spec.predictions), "cases": content["cases"]}
            for metric, value in content["metrics"].items():
                for name, item in {**about, "metric": metric, "value": value}.items():
                    columns[name].append(item)
    kinds = _dtypes(SUMMARY_COLUMNS)
    return pd.DataFrame({name: pd.Series(values, dtype=kinds[name]) for name, values in columns.items()})


def describe_run(run: RunSpec) -> dict[str, Any]:
    """Return the columns that say which run a row is of (``RUN_COLUMNS``)."""
    budgets = {f"budget_{task.value}": run.budgets.get(task) for task in Task}
    return {
        "run": run.id,
        "row": run.label,
        "method": run.method,
        **{name: None if budget is None else str(budget) for name, budget in budgets.items()},
        "subset": run.subset,
        "seed": run.seed,
    }


def _describe_domain(spec: PredictionsSpec) -> dict[str, Any]:
    return {"domain": spec.domain.domain, "task": spec.task.value, "in_domain": spec.domain.in_domain}


def _predictions_frame(store: ResultStore, run: RunSpec, spec: ScoresSpec) -> pd.DataFrame:
    from mmbench.store.masks import predicted_masks, true_masks

    wanted = spec.predictions
    cases = store.ground_truth.table(wanted.ground_truth, CASES).to_pandas()
    if wanted.task is Task.CLASSIFICATION:
        found = store.predictions.table(wanted.id, PROBABILITIES).to_pandas()
        cases = cases.assign(**{name: found[name].to_numpy() for name in wanted.domain.classes})
    else:
        masks, truth = predicted_masks(store, spec), true_masks(store, wanted)
        one = len(wanted.domain.structures) == 1
        cases["mask"], cases["truth"] = (list(found[:, 0] if one else found) for found in (masks, truth))
    for place, (name, value) in enumerate({**describe_run(run), **_describe_domain(wanted)}.items()):
        cases.insert(place, name, value)
    frame: pd.DataFrame = cases.astype(_dtypes((*RUN_COLUMNS, *DOMAIN_COLUMNS)))
    return frame


def _with_columns(table: pa.Table, about: dict[str, Any]) -> pa.Table:
    """Return a table with the same values in every row before its own columns."""
    import pyarrow as pa

    types = {"int64": pa.int64(), "bool": pa.bool_()}
    for place, (name, value) in enumerate(about.items()):
        scalar = pa.scalar(value, types.get(_KINDS.get(name, ""), pa.string()))
        table = table.add_column(place, name, pa.repeat(scalar, len(table)))
    return table.replace_schema_metadata(None)


def _dtypes(names: Iterable[str]) -> dict[str, str]:
    return {name: _KINDS.get(name, "str") for name in names}


def _nothing(store: ResultStore, what: str) -> StoreError:
    return StoreError(
        f"{store.root}: holds no {what}; make it with: mmbench run PROTOCOL --results {store.root}"
    )
