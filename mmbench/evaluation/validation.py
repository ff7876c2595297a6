"""Scores of a method in training: what a selection rule chooses by, and what shows convergence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from mmbench.data.dataset import Dataset
from mmbench.evaluation.classification import classification_summary
from mmbench.evaluation.multiclass import multiclass_summary
from mmbench.evaluation.overlap import overlap_scores
from mmbench.evaluation.prediction import check_outputs, predict
from mmbench.methods.base import Method
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import CLASS_NAMES, Task

THRESHOLD = 0.5
"""Of class and mask, whatever the protocol's metric policy: another policy must not choose other weights."""


@dataclass(frozen=True)
class ValidationPart:
    """The cases of a part of a domain that a task can use, or those of ``chosen`` rows."""

    dataset: Dataset
    part: str
    task: Task
    chosen: np.ndarray | None = None

    @property
    def rows(self) -> np.ndarray:
        """Their rows of the dataset."""
        return self.dataset.rows(self.part, self.task) if self.chosen is None else self.chosen


def main_scores(
    method: Method, parts: Iterable[ValidationPart], *, device: torch.device, precision: str
) -> dict[str, float]:
    """Return balanced accuracy or mean Dice on each part, named by task and domain.

    Parameters
    ----------
    method : Method
        Built and trained so far.
    parts : iterable of ValidationPart
        Where to score it.
    device : torch.device
        Where the method's modules are.
    precision : {'float32', 'bf16'}
        As in training.
    """
    scores = {}
    for where in parts:
        rows, found = _predicted(method, where, device, precision)
        name = f"{where.task.value} {where.dataset.domain}"
        if where.task is Task.CLASSIFICATION:
            scores[name] = _classified(where.dataset, rows, found)["balanced_accuracy"]
        else:
            scores[name] = _mean_dice(where.dataset, rows, found)
    return scores


def primary_scores(
    method: Method, parts: Iterable[ValidationPart], *, device: torch.device, precision: str
) -> dict[str, float]:
    """Return AUROC or mean Dice on each task's part, named by metric; NaN where one is undefined.

    Parameters are those of :func:`main_scores`, with one part for each task.
    """
    scores = {}
    for where in parts:
        rows, found = _predicted(method, where, device, precision)
        if where.task is Task.CLASSIFICATION:
            scores["auroc"] = _classified(where.dataset, rows, found)["auroc"]
        else:
            scores["dice"] = _mean_dice(where.dataset, rows, found)
    return scores


def _predicted(
    method: Method, where: ValidationPart, device: torch.device, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a part and the method's probabilities for them."""
    rows = where.rows
    images = where.dataset.images[rows]
    found = predict(method, images, where.task, device=device, precision=precision)
    check_outputs(method, found, where.task, where.dataset)
    return rows, found


def _classified(dataset: Dataset, rows: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    labels = dataset.cases["label"].iloc[rows].to_numpy(dtype=np.int64)
    if dataset.classes != CLASS_NAMES:
        return multiclass_summary(labels, probabilities.astype(np.float64), dataset.classes)
    policy = MetricPolicy(class_threshold=THRESHOLD)
    return classification_summary(labels, probabilities[:, 1].astype(np.float64), policy)


def _mean_dice(dataset: Dataset, rows: np.ndarray, probabilities: np.ndarray) -> float:
    assert dataset.masks is not None
    predicted, truth = probabilities >= THRESHOLD, dataset.masks[rows] > 0
    counts = zip(*(part.sum((2, 3)).ravel() for part in (predicted & truth, predicted, truth)), strict=True)
    return float(np.mean([overlap_scores(*map(int, count))["dice"] for count in counts]))
