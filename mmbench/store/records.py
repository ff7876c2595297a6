"""What runs, predictions and scores leave behind, as written to their JSON files.

Every record says what made it: the digest of the engine's source that can change its numbers, the source of
its method, library versions and device.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from mmbench.files import digest_json
from mmbench.protocol.annotations import Strict
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import MetricPolicy, Protocol
from mmbench.protocol.specs import (
    DomainDigest,
    PredictionsSpec,
    ScoresSpec,
    predictions_of,
    scores_of,
)
from mmbench.protocol.vocabulary import Task
from mmbench.store.environment import Environment

FORMAT: Literal[2] = 2
"""Of every file of a results folder; folders of format 1 held trainings with their scores in one record."""
LayerName = Literal["run", "predictions", "scores"]


def _undefined_as_none(value: Any) -> Any:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


Measured = Annotated[float | None, BeforeValidator(_undefined_as_none)]
"""A number, or None where it is undefined: NaN and infinities have no place in JSON."""


class Record(Strict):
    """What the records of all layers share; ``checksums`` and ``digest`` are filled in by the store."""

    FILE: ClassVar[str]
    """Its name in the record's folder."""

    format: Literal[2] = FORMAT
    id: str
    created: str = Field(default_factory=now)
    """When the record was made: UTC, ISO 8601."""
    checksums: dict[str, str] = Field(default_factory=dict)
    """sha256 of every other file of the record, by path within it."""
    digest: str = ""
    """sha256 of the canonical JSON of everything else."""

    def sealed(self, checksums: dict[str, str]) -> Self:
        """Return the record with its checksums and digest filled in."""
        record = self.model_copy(update={"checksums": checksums, "digest": ""})
        return record.model_copy(update={"digest": content_digest(record.model_dump(mode="json"))})

    def text(self) -> str:
        """Return the record as indented JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


class Made(Record):
    """A record with what made it."""

    engine: str
    """sha256 of the engine's source that can change the numbers of this layer."""
    environment: Environment


class RunRecord(Made):
    """Everything recorded of a training run but its weights and its tables."""

    FILE: ClassVar[str] = "run.json"

    run: RunSpec
    product: str
    """sha256 of the weights and the method's state, whether or not they are kept."""
    kept: bool
    """Whether weights and state are kept, so that other domains can be predicted."""
    parameters: int
    """Number of weights of the method's networks."""
    seconds: dict[str, float]
    """Wall-clock time by phase (load, train)."""
    peak_memory_mb: float | None = None
    """Of the device, in MB; None where it cannot be told."""
    selected_step: int | None = None
    """Step whose weights were kept; None for a trivial baseline."""
    resumed_at: list[int] = Field(default_factory=list)
    """Steps after which the training was resumed from a checkpoint, having been interrupted."""
    micro_batch: int | None = None
    """Images per stream that passed through the network at once, where memory did not hold the whole batch
    and gradients were accumulated; None where it did."""
    validation: dict[str, Measured] = Field(default_factory=dict)
    """Scores of the sources' validation parts at the end, by metric; empty where they were not validated."""
    last_gain: dict[str, Measured] = Field(default_factory=dict)
    """What these scores gained in the last tenth of the training, by metric."""
    loss_change: Measured = None
    """The largest relative change of a loss term's mean, first tenth of the training to last; None without
    losses."""
    last_losses: dict[str, Measured] = Field(default_factory=dict)
    """Loss terms of the last step, by name."""
    idle_losses: list[str] = Field(default_factory=list)
    """Loss terms that were 0 at every step."""
    unmoved: list[str] = Field(default_factory=list)
    """Networks, by attribute of the method, whose weights and buffers are those that training began with."""
    taken_from: str | None = None
    """The run whose weights these are, of a method that is trained in the same way; None where this one was
    trained. What is said of the training is then said of that run."""
    method_source: str = ""
    """sha256 of the method's source and of every module of its package or folder that it imports."""
    distribution: str = ""
    """Name and version of the installed distribution that the method comes from; empty for none."""


class GroundTruthRecord(Record):
    """The labels or masks of the cases of one domain, shared by all predictions on it."""

    FILE: ClassVar[str] = "ground_truth.json"

    task: Task
    domain: DomainDigest
    image_size: int
    cases: int


class PredictionsRecord(Made):
    """The predictions of one run on one domain."""

    FILE: ClassVar[str] = "predictions.json"

    run: str
    """The run's id."""
    product: str
    """The run's ``product``: predictions of other weights do not count."""
    task: Task
    domain: DomainDigest
    ground_truth: str
    """Id of the cases, in the order of the predictions."""
    cases: int
    contents: dict[str, str]
    """sha256 of each array: ``probabilities``, or ``mask <threshold>`` for each threshold."""
    thresholds: list[float] = Field(default_factory=list)
    """Of the stored masks."""
    probability_bits: int = 0
    """Bits of each pixel's stored probability; 0 where none is stored."""
    method_source: str = ""
    seconds: float


class ScoresRecord(Made):
    """The scores of predictions under one metric policy."""

    FILE: ClassVar[str] = "scores.json"

    predictions: str
    """The predictions' id."""
    scored: str
    """sha256 of the array that was scored, one of the predictions' ``contents``."""
    run: str
    task: Task
    domain: DomainDigest
    policy: dict[str, Any]
    """The fields of the metric policy that the task depends on."""
    metrics_version: str
    metrics: dict[str, Measured]
    """By metric, over all cases; None where a metric is undefined."""
    cases: int
    seconds: float


def content_digest(content: dict[str, Any]) -> str:
    """Return the digest that a record with this JSON content must carry."""
    return digest_json({key: value for key, value in content.items() if key != "digest"})


class Failure(Strict):
    """A run, its predictions or its scores ended with an error."""

    format: Literal[2] = FORMAT
    id: str
    """The run's."""
    run: RunSpec
    layer: LayerName = "run"
    """What was being made."""
    error: str
    """One line."""
    traceback: str = ""
    seconds: float = 0.0
    created: str = Field(default_factory=now)


class StoredPlan(Strict):
    """What a protocol asks for, kept beside its records so that they can be read without its data."""

    format: Literal[2] = FORMAT
    protocol: Protocol
    runs: list[RunSpec]
    domains: dict[Task, list[DomainDigest]] = Field(default_factory=dict)
    """The evaluated domains of each task, the source's test part first."""
    metrics: dict[Task, str] = Field(default_factory=dict)
    """The version of each task's metrics."""
    report: dict[str, Any] = Field(default_factory=dict)
    """Leak counts, notes on the data, cases per domain, trivial baselines: whatever the report shows."""
    created: str = Field(default_factory=now)
    digest: str = ""
    """sha256 of the canonical JSON of everything above; filled in by the store."""

    def predictions(self, run: RunSpec) -> list[PredictionsSpec]:
        """Return the predictions that are asked of a run; none of a trial of tuning."""
        if run.trial is not None:
            return []
        return predictions_of(run.id, run.tasks, self.domains, run.image_size)

    def scores(self, run: RunSpec) -> list[ScoresSpec]:
        """Return the scores that are asked of a run."""
        return scores_of(self.predictions(run), self.policy, self.metrics)

    @property
    def trials(self) -> set[str]:
        """The ids of the trials that the hyper-parameters were chosen by."""
        return {trial["run"] for tuned in self.report.get("tuning", ()) for trial in tuned["trials"]}

    @property
    def policy(self) -> MetricPolicy:
        """The metric policy."""
        return self.protocol.evaluation

    @property
    def trivial(self) -> list[str]:
        """The rows that are constant predictors."""
        return list(self.report.get("trivial_baselines", self.protocol.trivial_baselines))
