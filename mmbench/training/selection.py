"""Selection rules: which weights of a training are evaluated.

The loop hands a rule the method where it is due, and nothing else. A rule that needs scores is given a
function that computes them; for ``source_val`` that function holds the sources' validation parts only.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch

from mmbench.methods.base import Method


class UndefinedScoreError(ArithmeticError):
    """A score that weights are chosen by is not a number, as when a part holds one class only."""


Scorer = Callable[[Method], dict[str, float]]


class LastWeights:
    """Keep the weights that the training ends with."""

    scores: list[dict[str, float]]

    def __init__(self) -> None:
        self.scores = []

    def due(self, step: int, steps: int) -> bool:
        """Never look at a method."""
        return False

    def after_step(self, step: int, method: Method) -> None:
        """Do nothing."""

    def finish(self, steps: int, method: Method) -> int:
        """Return the last step."""
        return steps

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: nothing."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Do nothing."""


class BestWeights:
    """Keep the weights with the best mean score; the earliest of equals.

    Parameters
    ----------
    scorer : callable
        Maps a method to named scores, higher is better; their mean decides.
    every : int
        Steps between two looks; the last step is always looked at.

    Attributes
    ----------
    scores : list of dict
        One row per look: ``step`` and the named scores.
    """

    def __init__(self, scorer: Scorer, every: int):
        self.scorer = scorer
        self.every = every
        self.scores: list[dict[str, float]] = []
        self._best: tuple[float, int, dict[str, dict[str, Any]], dict[str, Any]] | None = None

    def due(self, step: int, steps: int) -> bool:
        """Whether to look at the method after that many steps."""
        return step % self.every == 0 or step == steps

    def after_step(self, step: int, method: Method) -> None:
        """Score the method, and keep its weights and state if they are the best so far.

        Raises
        ------
        UndefinedScoreError
            If a score is not finite.
        """
        named = self.scorer(method)
        self.scores.append({"step": step, **named})
        score = sum(named.values()) / len(named)
        if not math.isfinite(score):
            undefined = next(name for name, value in named.items() if not math.isfinite(value))
            raise UndefinedScoreError(f"{undefined} is undefined at step {step}, so weights cannot be chosen")
        if self._best is None or score > self._best[0]:
            self._best = (score, step, _weights(method), _copied(method.state()))

    def finish(self, steps: int, method: Method) -> int:
        """Restore the best weights, with the method's state of that step, and return the step."""
        assert self._best is not None
        _, step, weights, state = self._best
        for name, module in method.modules().items():
            module.load_state_dict(weights[name])
        method.load_state(_copied(state))
        return step

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the scores so far, and the best weights and state."""
        return {"scores": self.scores, "best": self._best}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.scores = state["scores"]
        self._best = state["best"]


SelectionRule = LastWeights | BestWeights


def _weights(method: Method) -> dict[str, dict[str, Any]]:
    with torch.no_grad():
        return {
            name: {key: value.detach().clone() for key, value in module.state_dict().items()}
            for name, module in method.modules().items()
        }


def _copied(state: Any) -> Any:
    """Return a copy of a method's state that later steps do not change; its tensors have no history."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if type(state) is dict:
        return {key: _copied(value) for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(_copied(value) for value in state)
    return copy.deepcopy(state)
