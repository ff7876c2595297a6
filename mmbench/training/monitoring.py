"""Validation along the way: has a training converged, and may it stop early."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mmbench.methods.base import Method
from mmbench.protocol.schema import Stop

Scores = list[dict[str, float]]


class Monitor:
    """Scores a method at evenly spaced steps, and says when its training may stop.

    Parameters
    ----------
    scorer : callable
        Maps a method to named scores, higher is better.
    steps : int
        Of the training.
    count : int
        Validations in it, the last after the last step; 0 for none.
    stop : Stop, optional
        When to end the training early, by the mean of the scores.
    ended : callable, optional
        Says of the means so far, one per validation, whether the training ends early.

    Attributes
    ----------
    scores : list of dict
        One row per validation: ``step`` and the named scores, NaN where one is undefined.
    """

    def __init__(
        self,
        scorer: Callable[[Method], dict[str, float]],
        steps: int,
        count: int,
        stop: Stop | None = None,
        ended: Callable[[Sequence[float]], bool] = lambda means: False,
    ):
        self.scores: Scores = []
        self._scorer = scorer
        self._stop = stop
        self._ended = ended
        self._due = {round(steps * (place + 1) / count) for place in range(count)}

    def due(self, step: int) -> bool:
        """Whether there is a validation after that many steps."""
        return step in self._due

    def after_step(self, step: int, method: Method) -> None:
        """Score the method; call it where :meth:`due`."""
        self.scores.append({"step": step, **self._scorer(method)})

    def finish(self, method: Method) -> None:
        """Score the weights that are evaluated (the rule's choice, or an average) in the last ones' place."""
        if self.scores and not self._ended(self._means):
            self.scores[-1] = {"step": self.scores[-1]["step"], **self._scorer(method)}

    @property
    def _means(self) -> list[float]:
        return [_mean(row) for row in self.scores]

    @property
    def stopped(self) -> bool:
        """Whether there was no gain for as long as the training is to wait for one, or it is to end here."""
        if not self.scores:
            return False
        if self._ended(self._means):
            return True
        if self._stop is None:
            return False
        best, waited = -math.inf, 0
        for row in self.scores:
            mean = _mean(row)
            waited += 1
            if mean > best + self._stop.min_gain or not math.isfinite(best):
                best, waited = mean, 0
        return waited >= self._stop.patience

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"scores": self.scores}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.scores = state["scores"]


def last_gain(scores: Scores) -> dict[str, float]:
    """Return by how much each score rose in the last tenth of a training, at least.

    Where no validation lies at nine tenths, the last one before counts; without any, nothing is returned.
    """
    before = [row for row in scores if row["step"] <= 0.9 * scores[-1]["step"]]
    if not before:
        return {}
    return {name: value - before[-1][name] for name, value in scores[-1].items() if name != "step"}


def loss_change(losses: Scores) -> float:
    """Return the largest relative change of a loss term's mean, first tenth of a training to last.

    Terms are all columns but ``step``; NaN without losses.
    """
    part = -(-len(losses) // 10)
    changes = [
        abs(_average(losses[-part:], name) - before) / max(abs(before), 1e-12)
        for name in (losses[0] if losses else ())
        if name != "step" and (before := _average(losses[:part], name)) == before
    ]
    return max(changes, default=math.nan)


def idle_losses(losses: Scores, logged: Collection[str] = ()) -> list[str]:
    """Return the loss terms that were 0 at every step of a training.

    Parameters
    ----------
    losses : list of dict
        One row per step: ``step``, the loss terms, and what else was logged.
    logged : collection of str
        Names of what is no loss term.
    """
    names = dict.fromkeys(name for row in losses for name in row)
    terms = [name for name in names if name != "step" and name not in logged]
    return [name for name in terms if all(row.get(name, 0.0) == 0.0 for row in losses)]


def _average(rows: Scores, name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def _mean(row: Mapping[str, float]) -> float:
    values = [value for name, value in row.items() if name != "step"]
    return sum(values) / len(values)
