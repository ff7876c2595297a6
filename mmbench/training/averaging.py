"""Averaged weights that are evaluated in the weights' place: EMA, SWA and SWAD."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mmbench.methods.base import Method
from mmbench.protocol.schema import Swad, Training


class Average:
    """A mean of a method's weights over some of its steps; without one, the weights themselves.

    Buffers (the statistics of batch normalisation) are averaged with the weights.

    Parameters
    ----------
    method : Method
        Built.
    training : Training
        Its ``ema`` becomes ``decay * average + (1 - decay) * weights`` after each step, the first value
        being the first step's weights. Its ``swa`` is the plain mean over the last part of the steps; before
        that part, the weights themselves are evaluated.
    """

    def __init__(self, method: Method, training: Training):
        self._modules: Mapping[str, nn.Module] = method.modules()
        self._first, self._every = 1, 1
        if training.swa is not None:
            self._first = math.floor(training.swa.start * training.steps) + 1
            self._every = training.swa.every
        function = self._function(training)
        self._averages = {
            name: AveragedModel(module, multi_avg_fn=function, use_buffers=True)
            for name, module in self._modules.items()
            if function is not None
        }

    @staticmethod
    def _function(training: Training) -> Any:
        if training.ema is not None:
            return get_ema_multi_avg_fn(training.ema)
        return _plain_mean if training.swa or training.swad else None

    def after_step(self, step: int) -> None:
        """Take the weights of a step in, where they count."""
        if step >= self._first and (step - self._first) % self._every == 0:
            for name, average in self._averages.items():
                average.update_parameters(self._modules[name])

    def after_validation(self, scores: Mapping[str, float]) -> None:
        """Take note of a validation's scores; only SWAD asks for them."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the method its averaged weights for a while."""
        own = {name: _copied(module.state_dict()) for name, module in self._begun()}
        self.keep()
        try:
            yield
        finally:
            for name, state in own.items():
                self._modules[name].load_state_dict(state)

    def keep(self) -> None:
        """Give the method its averaged weights for good."""
        for name, module in self._begun():
            module.load_state_dict(self._averages[name].module.state_dict())

    def _begun(self) -> list[tuple[str, nn.Module]]:
        """Return the modules that an average has been begun of."""
        return [
            (name, self._modules[name])
            for name, average in self._averages.items()
            if int(average.n_averaged) > 0
        ]

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {name: average.state_dict() for name, average in self._averages.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        for name, average in self._averages.items():
            average.load_state_dict(state[name])


class DenseAverage(Average):
    """SWAD: the mean of every step's weights within the valley of the validation loss.

    Between two validations the weights are summed up; which of these parts make the valley is decided at
    the end (Cha et al. 2021, algorithm 1). Validations see the weights themselves.

    Parameters
    ----------
    method : Method
        Built.
    training : Training
        Its ``swad``.
    """

    def __init__(self, method: Method, training: Training):
        super().__init__(method, training)
        assert training.swad is not None
        self._settings = training.swad
        self._parts: list[dict[str, Any]] = []

    def after_validation(self, scores: Mapping[str, float]) -> None:
        """Close the part of the training that ends with this validation."""
        values = [value for name, value in scores.items() if name != "step"]
        loss = 1 - sum(values) / len(values) if values else math.nan
        steps = max((int(average.n_averaged) for average in self._averages.values()), default=0)
        weights = {
            name: {key: value.cpu().clone() for key, value in average.module.state_dict().items()}
            for name, average in self._averages.items()
        }
        self._parts.append({"loss": loss, "steps": steps, "weights": weights})
        for average in self._averages.values():
            average.n_averaged.zero_()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Leave the method its own weights."""
        yield

    def keep(self) -> None:
        """Give the method the mean weights of the valley; without a valley, those of the last part."""
        parts = self._parts
        if not parts:
            super().keep()
            return
        begin, end = valley([part["loss"] for part in parts], self._settings)
        for name, module in self._modules.items():
            averages = [(part["weights"][name], part["steps"]) for part in parts[begin:end]]
            module.load_state_dict(_mean(averages))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"part": super().state(), "parts": self._parts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        super().load_state(state["part"])
        self._parts = state["parts"]


def make_average(method: Method, training: Training) -> Average:
    """Return the average that a training asks for."""
    return (DenseAverage if training.swad is not None else Average)(method, training)


def valley(losses: Sequence[float], settings: Swad) -> tuple[int, int]:
    """Return the first validation of the valley, and the one after its last.

    Parameters
    ----------
    losses : sequence of float
        In the order of the validations; one that is not a number counts as infinite.
    settings : Swad
        The numbers N_s (``converge``) and N_e (``tolerance``) and the rate r of algorithm 1.
    """
    values = [loss if math.isfinite(loss) else math.inf for loss in losses]
    count = settings.converge
    for begin in range(len(values) - count + 1):
        ahead = values[begin : begin + count]
        if values[begin] == min(ahead) < math.inf:
            break
    else:
        return len(values) - 1, len(values)
    threshold = (1 + settings.ratio) * sum(ahead) / count
    for end in range(begin + max(1, count - settings.tolerance + 1), len(values) - settings.tolerance + 1):
        if min(values[end : end + settings.tolerance]) > threshold:
            return begin, end
    # At the end of a training, fewer validations above the threshold than that do not count either.
    return begin, max(place for place in range(begin, len(values)) if values[place] <= threshold) + 1


def _plain_mean(averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
    """Take values into means over as many as were taken in before; counts of batches are copied."""
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1 / (int(count) + 1))
        else:
            average.copy_(value)


def _mean(parts: Sequence[tuple[Mapping[str, Tensor], int]]) -> dict[str, Tensor]:
    """Return the mean of parts' averages by their numbers of steps; counts are taken from the last part."""
    total = sum(steps for _, steps in parts)
    found = dict(parts[-1][0])
    for key, last in found.items():
        if last.is_floating_point():
            found[key] = torch.stack([state[key] * (steps / total) for state, steps in parts]).sum(0)
    return found


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items()}
