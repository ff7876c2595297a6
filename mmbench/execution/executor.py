"""What an executor is given, what it tells, and what it must be able to do.

A cluster back-end is one more class with this ``run`` and ``stop``: it takes tasks and yields events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as TypingProtocol

from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.protocol.specs import ScoresSpec
from mmbench.store.records import LayerName


@dataclass(frozen=True)
class RunTask:
    """Everything a worker needs to make what is missing of one run: weights, predictions, scores.

    Attributes
    ----------
    run : RunSpec
        The run.
    scores : tuple of ScoresSpec
        The scores, and with them the predictions, that the protocol asks of it.
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
    force : {'run', 'predictions', 'scores'} or None
        A layer to make again whether or not it is there, with what is made from it.
    failure : int or None
        The version of the run's failure that this run repeats, if it failed earlier.
    checkpoint_every : float
        Seconds between two checkpoints of the training.
    time_limit : float or None
        Seconds that the run may take before it is ended and counts as failed.
    """

    run: RunSpec
    scores: tuple[ScoresSpec, ...]
    protocol: Protocol
    results: Path
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    device: str = "cpu"
    threads: int = 1
    force: LayerName | None = None
    failure: int | None = None
    checkpoint_every: float = 60.0
    time_limit: float | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id


@dataclass(frozen=True)
class Outcome:
    """What a worker made of a run.

    Attributes
    ----------
    trained : bool
        Whether it was trained.
    predicted, scored : int
        How many predictions and scores were made.
    headline : dict of str to float
        The few numbers worth a status line.
    """

    trained: bool = False
    predicted: int = 0
    scored: int = 0
    headline: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """A worker took a run."""

    id: str
    worker: int


@dataclass(frozen=True)
class Progress:
    """A run is at ``step`` of ``steps`` of a phase: ``load``, ``train``, ``predict`` or ``score``."""

    id: str
    worker: int
    step: int
    steps: int
    phase: str


def layer_of(phase: str) -> LayerName:
    """Return the layer that is made in a phase; whatever is not predicting or scoring is the training."""
    layers: dict[str, LayerName] = {"predict": "predictions", "score": "scores"}
    return layers.get(phase, "run")


@dataclass(frozen=True)
class Finished:
    """Everything that was missing of a run is there."""

    id: str
    worker: int
    seconds: float
    outcome: Outcome = field(default_factory=Outcome)


@dataclass(frozen=True)
class Found:
    """Nothing is missing of a run any more: another process on the same folder made it."""

    id: str
    worker: int


@dataclass(frozen=True)
class Elsewhere:
    """Another process on the same folder is working on the run now; it is looked at again later."""

    id: str
    worker: int


@dataclass(frozen=True)
class Failed:
    """A run could not be completed: ``error`` is one line, ``traceback`` may be empty.

    ``recorded`` says that the failure is in the store; ``unwritable`` that the store is what failed, so
    that no other run can do better. ``layer`` is what was being made.
    """

    id: str
    worker: int
    error: str
    traceback: str = ""
    seconds: float = 0.0
    layer: LayerName = "run"
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
