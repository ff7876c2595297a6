"""Evaluating a trained method on one domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from mmbench.data.dataset import Dataset
from mmbench.evaluation.prediction import DomainPrediction, predict
from mmbench.evaluation.scoring import main_score, score_cases, summarise
from mmbench.methods.base import Method
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task


@dataclass(frozen=True)
class EvaluatedPart:
    """A part of a domain, and what is asked of it.

    Attributes
    ----------
    dataset : Dataset
        The domain.
    part : str
        ``train``, ``validation``, ``test`` or ``all``.
    task : Task
        What is scored.
    in_domain : bool
        Whether the domain is a source.
    """

    dataset: Dataset
    part: str
    task: Task
    in_domain: bool


@dataclass(frozen=True)
class DomainScores:
    """One row per case, their summary, and the predictions they came from."""

    cases: pd.DataFrame
    metrics: dict[str, Any]
    prediction: DomainPrediction


def evaluate(
    method: Method, where: EvaluatedPart, policy: MetricPolicy, *, device: torch.device, precision: str
) -> DomainScores:
    """Return a method's scores on a part of a domain."""
    rows = where.dataset.rows(where.part, where.task)
    prediction = predict(method, where.dataset.images[rows], where.task, device=device, precision=precision)
    cases = score_cases(where.dataset, rows, where.task, prediction, policy)
    cases["in_domain"] = where.in_domain
    return DomainScores(cases, summarise(cases, where.task, policy), prediction)


def main_scores(
    method: Method,
    parts: Iterable[EvaluatedPart],
    policy: MetricPolicy,
    *,
    device: torch.device,
    precision: str,
) -> dict[str, float]:
    """Return balanced accuracy or Dice of each part, named ``"<task> <domain>"``, for selection rules."""
    scores = {}
    for where in parts:
        rows = where.dataset.rows(where.part, where.task)
        prediction = predict(
            method, where.dataset.images[rows], where.task, device=device, precision=precision
        )
        name = f"{where.task.value} {where.dataset.domain}"
        scores[name] = main_score(where.dataset, rows, where.task, prediction, policy)
    return scores
