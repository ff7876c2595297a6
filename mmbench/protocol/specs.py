"""What identifies the predictions of a run and their scores.

A run is one training (:class:`mmbench.protocol.runs.RunSpec`). Its predictions on a domain depend on the
run and on the domain's data, not on a threshold or a metric; its scores depend on the predictions, on the
metric policy of the task and on the metrics' version. So a new domain trains nothing, a new threshold
predicts nothing that is stored well enough, and a new metric only scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmbench.files import digest_json
from mmbench.protocol.annotations import Strict
from mmbench.protocol.metrics import metrics_version
from mmbench.protocol.settings import MetricPolicy
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task

ID_LENGTH = 16
"""Hexadecimal digits of an id: 64 bits of a sha256."""


def identify(content: Any) -> str:
    """Return the id of JSON content: the first digits of its sha256."""
    return digest_json(content)[:ID_LENGTH]


class DomainDigest(Strict):
    """A part of a domain: what its images are and which of them, beside how the protocol calls it.

    ``domain`` and ``in_domain`` name it in tables and are no part of any identity; nor are the names of
    classes and structures, which ``data`` covers.
    """

    domain: str
    data: str
    """sha256 of the decoded images, masks, labels and patient ids."""
    split: str
    """sha256 of the assignment of cases to parts."""
    part: str = "test"
    in_domain: bool = False
    """Whether it is the held-out test part of the task's source."""
    classes: tuple[str, ...] = CLASS_NAMES
    """Of its labels, in the order of their numbers."""
    structures: tuple[str, ...] = STRUCTURE_NAMES
    """Of its masks, in their order."""

    def identity(self) -> list[str]:
        """Return what of it decides which images are meant; the whole domain does not depend on a split."""
        return [self.data, "" if self.part == "all" else self.split, self.part]


Domains = Mapping[Task, Sequence[DomainDigest]]
"""The evaluated domains of each task, the source's test part first."""


@dataclass(frozen=True)
class PredictionsSpec:
    """The predictions of a run for one task on one part of a domain.

    Attributes
    ----------
    run : str
        The run's id.
    task : Task
        What is predicted.
    domain : DomainDigest
        Where.
    image_size : int
        Side of the images in pixels.
    """

    run: str
    task: Task
    domain: DomainDigest
    image_size: int

    @cached_property
    def id(self) -> str:
        """Depends on the run, the task and the domain's data."""
        return identify(["predictions", self.run, self.task.value, self.domain.identity()])

    @cached_property
    def ground_truth(self) -> str:
        """The id of the labels or masks that the predictions are scored against; no run enters."""
        return identify(["ground truth", self.task.value, self.image_size, self.domain.identity()])


@dataclass(frozen=True)
class ScoresSpec:
    """The scores of predictions under a metric policy.

    Attributes
    ----------
    predictions : PredictionsSpec
        What is scored.
    policy : MetricPolicy
        Only the fields of the task count.
    metrics : str
        The version of the task's metrics, from :func:`mmbench.protocol.metrics.metrics_version`.
    """

    predictions: PredictionsSpec
    policy: MetricPolicy
    metrics: str

    @cached_property
    def id(self) -> str:
        """Depends on the predictions, the task's part of the policy and the metrics' version."""
        policy = self.policy.of(self.predictions.task)
        return identify(["scores", self.predictions.id, policy, self.metrics])


def predictions_of(
    run: str, tasks: Sequence[Task], domains: Domains, image_size: int
) -> list[PredictionsSpec]:
    """Return the predictions that a protocol asks of a run: each of its tasks on each domain of the task."""
    return [
        PredictionsSpec(run, task, domain, image_size) for task in tasks for domain in domains.get(task, ())
    ]


def scores_of(
    predictions: Sequence[PredictionsSpec], policy: MetricPolicy, versions: Mapping[Task, str] | None = None
) -> list[ScoresSpec]:
    """Return the scores that a protocol asks of predictions, by this version's metrics when left out."""
    return [
        ScoresSpec(spec, policy, versions[spec.task] if versions is not None else _metrics_version(spec))
        for spec in predictions
    ]


def _metrics_version(spec: PredictionsSpec) -> str:
    return metrics_version(spec.task, spec.domain.classes, spec.domain.structures)
