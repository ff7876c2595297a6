"""What tuning found of a row at a pair of label budgets, as a plan keeps it."""

from __future__ import annotations

import math
from typing import Any, Literal

from mmbench.protocol.annotations import Strict
from mmbench.protocol.vocabulary import Budget, Task
from mmbench.store.records import Measured


class Tried(Strict):
    """One trial."""

    number: int
    """From 0, which has the method's defaults."""
    run: str
    """The id of its training run."""
    values: dict[str, Any]
    """By the name of the hyper-parameter; ``learning rate`` for that of the training."""
    state: Literal["complete", "pruned", "failed", "missing"]
    score: Measured
    """On the source's validation cases, the mean over tasks; of a pruned trial, where it ended."""
    course: list[Measured] = []
    """The score at each validation."""
    seconds: float = 0.0
    """Training time."""


class Tuned(Strict):
    """The trials of one row at one pair of label budgets, and which of them was best."""

    row: str
    budgets: dict[Task, Budget]
    validation: dict[Task, int]
    """How many validation cases scored them."""
    sampler: str
    trials: list[Tried]
    chosen: int
    """The number of the trial whose values are used."""

    @property
    def best(self) -> Tried:
        """The trial whose values are used."""
        return self.trials[self.chosen]

    @property
    def gain(self) -> float:
        """By how much it scores more than the defaults; NaN where these have no score."""
        first, best = self.trials[0], self.best
        whole = first.state == "complete" and first.score is not None and best.score is not None
        return float(best.score or 0) - float(first.score or 0) if whole else math.nan

    @property
    def text(self) -> str:
        """What was chosen, in words."""
        budgets = "/".join(str(budget) for budget in self.budgets.values())
        values = ", ".join(f"{name} {shown(value)}" for name, value in self.best.values.items())
        what = "the defaults" if self.chosen == 0 else f"trial {self.chosen}"
        if self.best.score is None:
            what = "no trial has a score, so the defaults"
        gain = "" if self.chosen == 0 else f", {self.gain:+.3f} against the defaults"
        return f"{self.row} at {budgets}: {what} of {len(self.trials)} trials{gain} ({values})"


def shown(value: Any) -> str:
    """Return a value of a hyper-parameter as tables and lines show it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
