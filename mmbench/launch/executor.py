"""What an executor is given, what it tells, and the one method it must have.

A cluster back-end is one more class with this ``run``: it takes tasks and yields events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as TypingProtocol

from mmbench.protocol.cells import Cell
from mmbench.protocol.schema import Protocol


@dataclass(frozen=True)
class CellTask:
    """Everything a worker needs to train and evaluate one cell.

    Attributes
    ----------
    cell : Cell
        What to train.
    protocol : Protocol
        The protocol that the cell comes from.
    results : Path
        The result store's folder, absolute.
    data_root : Path or None
        Folder under which real datasets lie.
    plugins : tuple of Path
        Method files or folders beside the built-in ones.
    device : str
        ``cpu`` or ``cuda:<index>``.
    threads : int
        CPU threads the cell may use.
    force : bool
        Replace the cell's record if there is one.
    """

    cell: Cell
    protocol: Protocol
    results: Path
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    device: str = "cpu"
    threads: int = 1
    force: bool = False

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.cell.id


@dataclass(frozen=True)
class Started:
    """A worker took a cell."""

    id: str
    worker: int


@dataclass(frozen=True)
class Progress:
    """A cell is at ``step`` of ``steps`` of a phase such as ``train``."""

    id: str
    worker: int
    step: int
    steps: int
    phase: str


@dataclass(frozen=True)
class Finished:
    """A cell's record is written; ``headline`` holds the few numbers worth a status line."""

    id: str
    worker: int
    seconds: float
    headline: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """A cell left no record: ``error`` is one line, ``traceback`` may be empty."""

    id: str
    worker: int
    error: str
    traceback: str = ""
    seconds: float = 0.0


Event = Started | Progress | Finished | Failed


class Executor(TypingProtocol):
    """Runs tasks somewhere."""

    def run(self, tasks: Sequence[CellTask]) -> Iterator[Event]:
        """Yield events until every task has had exactly one :class:`Finished` or :class:`Failed`."""
        ...

    def stop(self) -> None:
        """End every worker at once. Records already written stay; running cells leave nothing."""
        ...
