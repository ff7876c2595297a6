"""The scores that a selection rule chooses weights by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from mmbench.data.dataset import Dataset
from mmbench.evaluation.classification import classification_summary
from mmbench.evaluation.overlap import overlap_scores
from mmbench.evaluation.prediction import predict
from mmbench.methods.base import Method
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task

THRESHOLD = 0.5
"""Of class and mask, whatever the protocol's metric policy: another policy must not choose other weights."""


@dataclass(frozen=True)
class ValidationPart:
    """The cases of a part of a domain that a task can use."""

    dataset: Dataset
    part: str
    task: Task


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
        rows = where.dataset.rows(where.part, where.task)
        images = where.dataset.images[rows]
        found = predict(method, images, where.task, device=device, precision=precision)
        score = _balanced_accuracy if where.task is Task.CLASSIFICATION else _mean_dice
        scores[f"{where.task.value} {where.dataset.domain}"] = score(where.dataset, rows, found)
    return scores


def _balanced_accuracy(dataset: Dataset, rows: np.ndarray, probabilities: np.ndarray) -> float:
    labels = dataset.cases["label"].iloc[rows].to_numpy(dtype=np.int64)
    policy = MetricPolicy(class_threshold=THRESHOLD)
    positive = probabilities[:, 1].astype(np.float64)
    return classification_summary(labels, positive, policy)["balanced_accuracy"]


def _mean_dice(dataset: Dataset, rows: np.ndarray, probabilities: np.ndarray) -> float:
    assert dataset.masks is not None
    predicted, truth = probabilities >= THRESHOLD, dataset.masks[rows] > 0
    counts = zip(*(part.sum((1, 2)) for part in (predicted & truth, predicted, truth)), strict=True)
    return float(np.mean([overlap_scores(*map(int, count))["dice"] for count in counts]))
