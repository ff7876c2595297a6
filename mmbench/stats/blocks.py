"""Per-case scores of one domain as arrays: trainings x cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

TRAINING = ("run", "row", "method", "budget_classification", "budget_segmentation", "subset", "seed")
_KEYS = (*TRAINING, "domain", "task", "in_domain", "case_id", "patient_id")


@dataclass(frozen=True)
class Block:
    """Every training's scores on the cases of one domain and task.

    Attributes
    ----------
    domain, task : str
        What was scored.
    in_domain : bool
        Whether it is the held-out test part of the task's source.
    trainings : DataFrame
        One line per run: ``TRAINING``.
    case_ids : ndarray
        Shape (N,).
    patient_ids : ndarray
        Shape (N,).
    patients : ndarray
        Codes 0..P-1 of the cases' patients, shape (N,).
    scores : dict of str to ndarray
        By column of the per-case table, float64 of shape (runs, N): ``label`` and ``probability``, or
        ``probability:<class>`` for each class, for classification; the per-case metrics for segmentation.
    """

    domain: str
    task: str
    in_domain: bool
    trainings: pd.DataFrame
    case_ids: np.ndarray
    patient_ids: np.ndarray
    patients: np.ndarray
    scores: dict[str, np.ndarray]

    @property
    def patient_count(self) -> int:
        """Number of patients."""
        return int(self.patients.max()) + 1 if len(self.patients) else 0

    def effective_patients(self, *, by_class: bool) -> float:
        """Return how many independent patients the cases amount to, see :func:`effective_patients`."""
        labels = self.scores["label"][0].astype(np.int64) if by_class else None
        return effective_patients(self.patients, labels)

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of labels; none where a single probability says which of two it is."""
        columns = (name.partition(":") for name in self.scores)
        return [member for base, colon, member in columns if base == "probability" and colon]

    @property
    def against_rest(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each class's probability, shape (runs, N), and the cases of it, bool, shape (N,).

        Where a single probability says which of two classes it is, that one's alone.
        """
        labels = self.scores["label"][0]
        if not self.class_names:
            return [(self.scores["probability"], labels > 0.5)]
        names = enumerate(self.class_names)
        return [(self.scores[f"probability:{name}"], labels == place) for place, name in names]


def effective_patients(patients: np.ndarray, labels: np.ndarray | None = None) -> float:
    """Return how many patients with one case each would say as much: (sum n)^2 / sum n^2 (Kish 1965).

    Parameters
    ----------
    patients : ndarray
        Codes of the cases' patients, integers from 0, shape (N,).
    labels : ndarray, optional
        Integers from 0, shape (N,): where given, each class is counted by itself, and the smallest number
        returned; 0 where there are fewer than two classes.
    """
    parts = [patients]
    if labels is not None:
        parts = [patients[labels == label] for label in range(max(2, int(labels.max(initial=0)) + 1))]
    return min(_kish(np.bincount(part)) if len(part) else 0.0 for part in parts)


def _kish(counts: np.ndarray) -> float:
    return float(counts.sum() ** 2 / (counts**2).sum())


def blocks(scores: pd.DataFrame) -> list[Block]:
    """Cut a frame of per-case scores into blocks, one per domain and task.

    Parameters
    ----------
    scores : DataFrame
        As :func:`mmbench.store.frames.load_scores` makes it.

    Raises
    ------
    ValueError
        If two runs of one domain were scored on different cases.
    """
    return [
        _block(str(domain), str(task), part)
        for (domain, task), part in scores.groupby(["domain", "task"], sort=False)
    ]


def _block(domain: str, task: str, part: pd.DataFrame) -> Block:
    import pandas as pd

    order, runs = pd.factorize(part["run"])
    first = part[order == 0]
    cases = first["case_id"].to_numpy()
    places = pd.Index(cases).get_indexer(part["case_id"])
    if (np.bincount(order) != len(cases)).any() or (places < 0).any():
        raise ValueError(f"{domain}, {task}: the runs were not scored on the same cases")
    values = {}
    for column in part.columns:
        if column in _KEYS or not part[column].notna().any():
            continue
        array = np.full((len(runs), len(cases)), np.nan)
        array[order, places] = part[column].to_numpy(dtype=np.float64, na_value=np.nan)
        values[str(column)] = array
    return Block(
        domain=domain,
        task=task,
        in_domain=bool(first["in_domain"].iloc[0]),
        trainings=part[order != np.concatenate([[-1], order[:-1]])][list(TRAINING)]
        .drop_duplicates("run")
        .reset_index(drop=True),
        case_ids=cases,
        patient_ids=first["patient_id"].to_numpy(),
        patients=pd.factorize(first["patient_id"])[0],
        scores=values,
    )
