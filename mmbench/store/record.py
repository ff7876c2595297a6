"""What a run leaves behind, as written to ``run.json``."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mmbench.files import digest_json
from mmbench.protocol.annotations import Strict
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.store.environment import Environment


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


class DomainSummary(Strict):
    """One run's scores on one domain and task."""

    domain: str
    task: Task
    in_domain: bool
    """Whether it is the held-out test part of the task's source."""
    cases: int
    """Number of evaluated cases."""
    metrics: dict[str, Measured]
    """By metric; None where a metric is undefined."""


class RunRecord(Strict):
    """Everything recorded of a run but its per-case tables.

    ``checksums`` and ``digest`` are filled in by the store.
    """

    format: Literal[1] = 1
    id: str
    run: RunSpec
    summary: list[DomainSummary]
    parameters: int
    """Number of weights of the method's networks."""
    seconds: dict[str, float]
    """Wall-clock time by phase (load, train, evaluate, total)."""
    peak_memory_mb: float | None = None
    """Of the device, in MB; None where it cannot be told."""
    selected_step: int | None = None
    """Step whose weights were evaluated; None for a trivial baseline."""
    resumed_at: list[int] = Field(default_factory=list)
    """Steps after which the training went on from a checkpoint, having been interrupted."""
    micro_batch: int | None = None
    """Images per stream that passed through the network at once, where memory did not hold the whole batch
    and gradients were accumulated; None where it did."""
    last_losses: dict[str, Measured] = Field(default_factory=dict)
    """Loss terms of the last step, by name."""
    method_source: str = ""
    """sha256 of the files of the method's classes."""
    environment: Environment
    created: str = Field(default_factory=now)
    """When the record was made: UTC, ISO 8601."""
    checksums: dict[str, str] = Field(default_factory=dict)
    """sha256 of every other file of the record, by path within it."""
    digest: str = ""
    """sha256 of the canonical JSON of everything above."""

    def sealed(self, checksums: dict[str, str]) -> RunRecord:
        """Return the record with its checksums and digest filled in."""
        record = self.model_copy(update={"checksums": checksums, "digest": ""})
        return record.model_copy(update={"digest": content_digest(record.model_dump(mode="json"))})

    def text(self) -> str:
        """Return the record as indented JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def content_digest(content: dict[str, Any]) -> str:
    """Return the digest that a record with this JSON content must carry."""
    return digest_json({key: value for key, value in content.items() if key != "digest"})


class Failure(Strict):
    """A run that ended with an error."""

    format: Literal[1] = 1
    id: str
    run: RunSpec
    error: str
    """One line."""
    traceback: str = ""
    seconds: float = 0.0
    created: str = Field(default_factory=now)


class StoredPlan(Strict):
    """What a protocol asks for, kept beside its records so that they can be read without its data."""

    format: Literal[1] = 1
    protocol: Protocol
    runs: list[RunSpec]
    report: dict[str, Any] = Field(default_factory=dict)
    """Leak counts, notes on the data, cases per domain, trivial baselines: whatever the report shows."""
    created: str = Field(default_factory=now)
    digest: str = ""
    """sha256 of the canonical JSON of everything above; filled in by the store."""

    @property
    def labels(self) -> dict[str, str]:
        """The row's name in tables, by run id."""
        return {run.id: run.label for run in self.runs}
