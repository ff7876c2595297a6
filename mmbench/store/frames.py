"""Records as data frames: per case, or one number per run, domain and metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import StoreError
from mmbench.protocol.vocabulary import Task
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = ("run", "row", "method", "budget_classification", "budget_segmentation", "subset", "seed")
SUMMARY_COLUMNS = (*RUN_COLUMNS, "domain", "task", "in_domain", "cases", "metric", "value")


def load_results(path: str | Path) -> pd.DataFrame:
    """Return every score of a results folder.

    Parameters
    ----------
    path : str or Path
        The folder ``results/<protocol>``.

    Returns
    -------
    DataFrame
        One row per run, domain, task and case: ``run`` (id), ``row`` (the row's name), ``method``,
        ``budget_classification`` and ``budget_segmentation`` (text such as ``"10"`` or ``"full"``; missing
        for a task the method does not learn), ``subset``, ``seed``, then the columns of ``cases.parquet``.

    Raises
    ------
    StoreError
        If there are no records, or one does not match its checksums.
    """
    store = ResultStore(Path(path))
    found = scores(store)
    if found is None:
        raise StoreError(
            f"{store.root}: holds no records; make them with: mmbench run PROTOCOL --results {store.root}"
        )
    return found


def scores(store: ResultStore, ids: Iterable[str] | None = None) -> pd.DataFrame | None:
    """Return the per-case scores of a store's records, as :func:`load_results`; None without any.

    Parameters
    ----------
    store : ResultStore
        Where to read.
    ids : iterable of str, optional
        As for :func:`summaries`.
    """
    import pyarrow as pa

    tables = []
    for id, label in _chosen(store, ids):
        cases = store.cases_table(id)
        about = _about(store.content(id)["run"], id, label)
        for place, (name, value) in enumerate(about.items()):
            kind = pa.int64() if _dtype(name) == "int64" else pa.string()
            cases = cases.add_column(place, name, pa.repeat(pa.scalar(value, kind), len(cases)))
        tables.append(cases.replace_schema_metadata(None))
    if not tables:
        return None
    # One conversion of all runs, not one for each.
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def summaries(store: ResultStore, ids: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the summary metrics of a store's records in long form, without opening per-case tables.

    Parameters
    ----------
    store : ResultStore
        Where to read.
    ids : iterable of str, optional
        Which runs, as far as they have records; the saved plan's runs when left out, or every record
        where there is no plan.

    Returns
    -------
    DataFrame
        One row per run, domain, task and metric, with the columns ``SUMMARY_COLUMNS``; ``value`` is NaN
        where the metric is undefined.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in SUMMARY_COLUMNS}
    for id, label in _chosen(store, ids):
        content = store.content(id)
        about = _about(content["run"], id, label)
        for part in content["summary"]:
            for metric, value in part["metrics"].items():
                row = {**about, "metric": metric, "value": value}
                for name in SUMMARY_COLUMNS:
                    columns[name].append(row[name] if name in row else part[name])
    return pd.DataFrame({name: pd.Series(values, dtype=_dtype(name)) for name, values in columns.items()})


def _chosen(store: ResultStore, ids: Iterable[str] | None) -> list[tuple[str, str | None]]:
    """Return ids with the labels of the plan, in the plan's order; None where the record's own counts."""
    finished = store.finished()
    labels = store.load_plan().labels if store.has_plan() else {}
    wanted = list(dict.fromkeys(ids if ids is not None else labels or sorted(finished)))
    return [(id, labels.get(id)) for id in wanted if id in finished]


def _about(run: dict[str, Any], id: str, label: str | None) -> dict[str, Any]:
    budgets = {f"budget_{task.value}": run["budgets"].get(task.value) for task in Task}
    return {
        "run": id,
        "row": label if label is not None else run["label"],
        "method": run["method"],
        **{name: None if budget is None else str(budget) for name, budget in budgets.items()},
        "subset": run["subset"],
        "seed": run["seed"],
    }


def _dtype(name: str) -> str:
    kinds = {"subset": "int64", "seed": "int64", "cases": "int64", "in_domain": "bool", "value": "float64"}
    return kinds.get(name, "str")
