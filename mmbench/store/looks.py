"""The looks of a group-sequential run: what was decided after how many seeds, and what error that spent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from mmbench.files import write_text
from mmbench.protocol.annotations import Strict
from mmbench.protocol.vocabulary import Task
from mmbench.store.reading import parse, read_json
from mmbench.store.records import content_digest
from mmbench.store.store import ResultStore

FILE = "looks.json"


class Question(Strict):
    """One primary comparison: a row against the reference in one metric on one domain."""

    row: str
    task: Task
    domain: str
    metric: str


class Decided(Question):
    """A primary comparison with the verdict that fell on it, in the metric's unit."""

    verdict: Literal["better", "equivalent", "worse"]
    difference: float
    low: float
    high: float
    level: float
    """Two-sided level of the interval at that look."""
    p: float
    """The family's error at which the verdict would just have fallen at that look."""


class Look(Strict):
    """What one look found."""

    seeds: int
    """Of the rows that were still open."""
    spent: float
    """Of the family's error, up to this look."""
    decided: list[Decided] = Field(default_factory=list)
    """What was decided at this look."""
    futile: list[Question] = Field(default_factory=list)
    """What will hardly be decided with all seeds of the design; it gets no more of them."""
    open: list[Question] = Field(default_factory=list)
    """What is neither."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


class Looks(Strict):
    """A group-sequential design and its looks so far."""

    format: Literal[2] = 2
    """1 spent the error more slowly: a design is not continued with another spending."""
    schedule: list[int] = Field(min_length=1)
    """Seeds at every look of the design."""
    alpha: float
    """The family's error over all looks."""
    family: int
    """Primary comparisons that are corrected together."""
    looks: list[Look] = Field(default_factory=list)
    digest: str = ""

    @property
    def decided(self) -> list[tuple[int, Decided]]:
        """What is decided, with the number of the look, from 0."""
        return [(number, one) for number, look in enumerate(self.looks) for one in look.decided]

    @property
    def next_seeds(self) -> int | None:
        """Seeds at the next look; None after the last one, or where nothing is open."""
        if self.looks and not self.looks[-1].open:
            return None
        return self.schedule[len(self.looks)] if len(self.looks) < len(self.schedule) else None

    def seeds_of(self, row: str) -> int:
        """Return how many seeds a row has had, or is to have, by the next look."""
        for look in self.looks:
            if not any(question.row == row for question in look.open):
                return look.seeds
        return self.next_seeds or self.schedule[min(len(self.looks), len(self.schedule)) - 1]


def read_looks(store: ResultStore) -> Looks | None:
    """Return a results folder's looks; None where there is no group-sequential run.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    path = _path(store)
    if not path.is_file():
        return None
    fix = f"remove it to begin the design anew, or restore it: {path}"
    content = read_json(path, fix)
    if content.get("digest") != content_digest(content):
        from mmbench.errors import StoreError

        raise StoreError(f"{path}: was changed after it was written; {fix}")
    return parse(Looks, content, path, fix)


def write_looks(store: ResultStore, looks: Looks) -> None:
    """Replace a results folder's looks."""
    content = looks.model_dump(mode="json")
    content["digest"] = content_digest(content)
    with store.writing():
        write_text(_path(store), json.dumps(content, indent=1, allow_nan=False) + "\n")


def _path(store: ResultStore) -> Path:
    return store.root / FILE
