"""What a protocol says of tuning, and what a trial of it adds to a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from mmbench.protocol.annotations import Strict
from mmbench.protocol.vocabulary import Task

LEARNING_RATE = "learning rate"
"""What every method is tuned over beside its own hyper-parameters."""


class Tune(Strict):
    """Hyper-parameters are chosen for each row and pair of label budgets, all with the same effort.

    A trial is a training with other hyper-parameters, on a labelled subset and a seed that no other run has;
    the first has the method's defaults. It is scored on some of the source's validation cases. No test case
    is predicted.
    """

    trials: int = Field(default=16, ge=2, le=10_000)
    """For each row and pair of budgets, the defaults included."""
    minutes: float | None = Field(default=None, gt=0)
    """Training time of a row's trials at a pair of budgets, after which no more of them are begun."""
    sampler: Literal["random", "tpe"] = "random"
    """How values are drawn: only with ``random`` does the score of fewer trials follow from all of them."""
    pruner: Literal["median", "none"] = "median"
    """``median``: a trial ends early whose best score is below the median of others at a step."""
    learning_rate: float = Field(default=10.0, ge=1, le=1000)
    """The factor by which the learning rate may be below and above the protocol's; 1 leaves it as it is."""
    validation: Literal["budget", "all"] = "budget"
    """``budget``: as many validation cases of a task as it has labelled ones to train on, since who has few
    labels cannot validate on many; ``all``: every validation case."""


class Trial(Strict):
    """What makes a run a trial of tuning."""

    number: int
    """From 0, the defaults; no part of the run's identity."""
    validation: dict[Task, int]
    """How many of the source's validation cases score it."""
    floors: list[float | None] = Field(default_factory=list)
    """By validation, the score that the best so far must reach for the training to go on."""

    def ended(self, scores: Sequence[float]) -> bool:
        """Whether a training with these scores, one per validation, ends here.

        Optuna's median pruner: the best score so far is compared with the median of others at this step.
        """
        place = len(scores) - 1
        floor = self.floors[place] if 0 <= place < len(self.floors) else None
        known = [score for score in scores if not math.isnan(score)]
        return floor is not None and bool(known) and max(known) < floor
