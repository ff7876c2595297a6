"""Which case is in which part, and in which order the training cases get labelled, as one table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mmbench.data.dataset import Dataset
from mmbench.data.subsets import label_order
from mmbench.protocol.vocabulary import Task


def subset_table(sources: Mapping[Task, Dataset], *, seed: int, subsets: int) -> pd.DataFrame:
    """Return one row per source and case.

    Parameters
    ----------
    sources : mapping from Task to Dataset
        The domains trained on.
    seed, subsets : int
        The protocol's.

    Returns
    -------
    DataFrame
        ``task``, ``domain``, ``case_id``, ``patient_id``, ``part``, and for each labelled subset
        ``rank_subset_<d>``: the case's place (from 1) in the order of labelling, missing outside the
        training part. At a label budget n, the cases with a rank of at most n are labelled.
    """
    tables = []
    for task, dataset in sources.items():
        table = dataset.cases[["case_id", "patient_id", "part"]].copy()
        for subset in range(subsets):
            order = label_order(dataset, task, seed=seed, subset=subset)
            ranks = pd.Series(pd.NA, index=table.index, dtype="Int64")
            ranks.iloc[order] = range(1, len(order) + 1)
            table[f"rank_subset_{subset}"] = ranks
        table.insert(0, "task", task.value)
        table.insert(1, "domain", dataset.domain)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
