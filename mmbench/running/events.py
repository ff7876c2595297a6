"""What a caller of ``run`` is told, beside the events of single runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.execution.executor import Event
from mmbench.planning.work import Work
from mmbench.store.looks import Looks
from mmbench.store.tuned import Tuned

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan


@dataclass(frozen=True)
class Preparing:
    """A dataset is being loaded; the first time, its images are decoded or generated."""

    dataset: str


@dataclass(frozen=True)
class Planned:
    """What is going to be done, told before the first worker starts.

    Attributes
    ----------
    plan : Plan
        Runs, leak counts and notes.
    work : Work
        What is missing.
    results : Path
        The result store's folder.
    notes : tuple of str
        What a reader should know of the data and of the finished records.
    why_skipped : str
        Why skipped runs are left alone.
    workers : str
        The workers in a few words.
    """

    plan: Plan
    work: Work
    results: Path
    notes: tuple[str, ...]
    why_skipped: str
    workers: str


@dataclass(frozen=True)
class Looked:
    """A look of a group-sequential run was taken.

    Attributes
    ----------
    looks : Looks
        The design with all looks so far, this one last.
    """

    looks: Looks


@dataclass(frozen=True)
class Chosen:
    """Tuning has come to its end.

    Attributes
    ----------
    tuned : tuple of Tuned
        What was found of each row at each pair of label budgets.
    """

    tuned: tuple[Tuned, ...]


RunEvent = Event | Preparing | Planned | Looked | Chosen
Listener = Callable[[RunEvent], None]
