"""What an executor is given, what it tells, and the one method it must have.

A cluster back-end is one more class with this ``run``: it takes tasks and yields events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as TypingProtocol

from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol


@dataclass(frozen=True)
class RunTask:
    """Everything a worker needs to train and evaluate one run.

    Attributes
    ----------
    run : RunSpec
        What to train.
    protocol : Protocol
        The protocol that the run comes from.
    results : Path
        The result store's folder, absolute.
    data_root : Path or None
        Folder under which real datasets lie.
    plugins : tuple of Path
        Method files or folders beside the built-in ones.
    device : str
        ``cpu`` or ``cuda:<index>``.
    threads : int
        CPU threads the run may use.
    force : bool
        Replace the run's record if there is one.
    failure : int or None
        The version of the run's failure that this run repeats, if it failed earlier.
    checkpoint_every : float
        Seconds between two checkpoints of the training.
    time_limit : float or None
        Seconds that the run may take before it is ended and counts as failed.
    """

    run: RunSpec
    protocol: Protocol
    results: Path
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    device: str = "cpu"
    threads: int = 1
    force: bool = False
    failure: int | None = None
    checkpoint_every: float = 60.0
    time_limit: float | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id


@dataclass(frozen=True)
class Started:
    """A worker took a run."""

    id: str
    worker: int


@dataclass(frozen=True)
class Progress:
    """A run is at ``step`` of ``steps`` of a phase such as ``train``."""

    id: str
    worker: int
    step: int
    steps: int
    phase: str


@dataclass(frozen=True)
class Finished:
    """A run's record is written; ``headline`` holds the few numbers worth a status line."""

    id: str
    worker: int
    seconds: float
    headline: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A run's record is there: another run on the same folder wrote it meanwhile."""

    id: str
    worker: int


@dataclass(frozen=True)
class Elsewhere:
    """Another run on the same folder is computing the run now; it is looked at again later."""

    id: str
    worker: int


@dataclass(frozen=True)
class Failed:
    """A run left no record: ``error`` is one line, ``traceback`` may be empty.

    ``recorded`` says that the failure is in the store; ``unwritable`` that the store is what failed, so
    that no other run can do better.
    """

    id: str
    worker: int
    error: str
    traceback: str = ""
    seconds: float = 0.0
    recorded: bool = False
    unwritable: bool = False


Ending = Finished | Found | Failed
Event = Started | Progress | Elsewhere | Ending


class Executor(TypingProtocol):
    """Runs tasks somewhere."""

    def run(self, tasks: Sequence[RunTask]) -> Iterator[Event]:
        """Yield events until every task has had exactly one ``Ending``."""
        ...

    def stop(self) -> None:
        """End every worker at once. Records already written stay; running runs leave nothing."""
        ...
