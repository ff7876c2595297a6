"""Labelled subsets: which training cases count as labelled.

One order per labelled subset serves every budget, so that the 10 labelled cases are among the 50.
"""

from __future__ import annotations

import numpy as np

from mmbench.data.dataset import Dataset
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Budget, Task
from mmbench.randomness import generator


def label_order(dataset: Dataset, task: Task, *, seed: int, subset: int) -> np.ndarray:
    """Return the training rows that a task can use, in the order in which they get labelled.

    Every prefix has the classes in proportion, to less than one case each; for masks the classes are the
    findings, where they are known. Within a class the cases of one group (a patient) follow each other.

    Parameters
    ----------
    dataset : Dataset
        A source.
    task : Task
        Which labels are drawn.
    seed : int
        The protocol's seed.
    subset : int
        The labelled subset, from 0.

    Returns
    -------
    ndarray
        int64: all usable rows of the training part.
    """
    random = generator(seed, "labelled subset", dataset.roster_digest, task.value, subset)
    return _in_proportion(dataset, task, dataset.rows("train", task), random)


def validation_rows(dataset: Dataset, task: Task, count: int, *, seed: int, subset: int) -> np.ndarray:
    """Return some rows of the validation part, in ascending order: all of them, or the classes in proportion.

    Parameters
    ----------
    dataset, task, seed, subset
        As for :func:`label_order`.
    count : int
        How many rows; all where there are no more.
    """
    random = generator(seed, "validation subset", dataset.roster_digest, task.value, subset)
    rows = dataset.rows("validation", task)
    return np.sort(_in_proportion(dataset, task, rows, random)[:count])


def _in_proportion(dataset: Dataset, task: Task, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return rows in an order of which every prefix has the classes in proportion."""
    # Ranks cover every group of the dataset, so that a case's place does not depend on the split of others.
    groups, group = np.unique(dataset.cases["group"].to_numpy(), return_inverse=True)
    group_rank = random.permutation(len(groups))[group][rows]
    case_rank = random.permutation(len(dataset.cases))[rows]
    classes = _classes(dataset, task)[rows]
    position = np.zeros(len(rows))
    for name in np.unique(classes):
        members = np.flatnonzero(classes == name)
        members = members[np.lexsort((case_rank[members], group_rank[members]))]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return rows[np.lexsort((classes, position))]


def labeled_rows(dataset: Dataset, task: Task, budget: Budget, *, seed: int, subset: int) -> np.ndarray:
    """Return the labelled training rows of a budget, in ascending order.

    Raises
    ------
    DataError
        If the budget is larger than the training part, or nothing can be labelled.
    """
    order = label_order(dataset, task, seed=seed, subset=subset)
    if len(order) == 0:
        kind = "labels" if task is Task.CLASSIFICATION else "masks"
        raise DataError(f"{dataset.name}: has no training cases with {kind}, so it is no {task.value} source")
    if budget == "full":
        return np.sort(order)
    if budget > len(order):
        raise DataError(
            f"budgets: {task.value} {budget} is more than the {len(order)} training cases of {dataset.name}; "
            "use 'full' or a smaller number"
        )
    return np.sort(order[:budget])


def unlabeled_rows(dataset: Dataset, task: Task, budget: Budget, *, seed: int, subset: int) -> np.ndarray:
    """Return the rows of the unlabelled stream, in ascending order.

    The rest of the training part, cases that have no label or mask included. If nothing usable is left
    over (``full``, or a budget as large as the part), the unlabelled stream is the whole training part.
    """
    labeled = labeled_rows(dataset, task, budget, seed=seed, subset=subset)
    train = dataset.part_rows("train")
    if len(labeled) == len(dataset.rows("train", task)):
        return train
    return np.setdiff1d(train, labeled)


def _classes(dataset: Dataset, task: Task) -> np.ndarray:
    cases = dataset.cases
    if task is Task.CLASSIFICATION:
        return cases["label"].fillna(-1).to_numpy(dtype=np.int64)
    if "finding" in cases:
        return cases["finding"].to_numpy(dtype=object).astype(str)
    return np.full(len(cases), "", dtype="<U1")
