"""Averaged weights: an exponential moving average that is evaluated in the weights' place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mmbench.methods.base import Method


class Average:
    """The average of a method's weights over its steps; without a decay, the weights themselves.

    Parameters
    ----------
    method : Method
        Built.
    decay : float or None
        In (0, 1): the average becomes ``decay * average + (1 - decay) * weights`` after each step, buffers
        included; its first value is that after the first step.
    """

    def __init__(self, method: Method, decay: float | None):
        self._modules: Mapping[str, nn.Module] = method.modules() if decay is not None else {}
        self._averages = {
            name: AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            for name, module in self._modules.items()
            if decay is not None
        }

    def after_step(self) -> None:
        """Take the weights of a step in."""
        for name, average in self._averages.items():
            average.update_parameters(self._modules[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the method its averaged weights for a while."""
        own = {
            name: {key: value.clone() for key, value in module.state_dict().items()}
            for name, module in self._modules.items()
        }
        self.keep()
        try:
            yield
        finally:
            for name, module in self._modules.items():
                module.load_state_dict(own[name])

    @torch.no_grad()
    def keep(self) -> None:
        """Give the method its averaged weights for good."""
        for name, average in self._averages.items():
            self._modules[name].load_state_dict(average.module.state_dict())

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {name: average.state_dict() for name, average in self._averages.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        for name, average in self._averages.items():
            average.load_state_dict(state[name])
