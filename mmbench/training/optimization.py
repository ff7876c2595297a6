"""Optimisers and learning-rate schedules of a protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from mmbench.errors import PluginError
from mmbench.methods.base import Method
from mmbench.protocol.schema import Optimizer, Schedule


def parameter_groups(method: Method, learning_rate: float) -> list[dict[str, Any]]:
    """Return a method's trainable weights in groups of one learning rate, in the weights' order.

    Raises
    ------
    PluginError
        If :meth:`Method.learning_rates` names weights that the method does not have.
    """
    factors = dict(method.learning_rates())
    named = {
        f"{root}.{name}": weight
        for root, module in method.modules().items()
        for name, weight in module.named_parameters()
    }
    for beginning in factors:
        if not any(_begins(name, beginning) for name in named):
            raise PluginError(
                f"method {method.name!r}: learning_rates names {beginning!r}, but no weight's name begins "
                f"so; they begin with {', '.join(dict.fromkeys(name.split('.')[0] for name in named))}"
            )
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in named.items():
        if weight.requires_grad:
            matching = [beginning for beginning in factors if _begins(name, beginning)]
            factor = factors[max(matching, key=len)] if matching else 1.0
            groups.setdefault(factor, []).append(weight)
    return [{"params": weights, "lr": learning_rate * factor} for factor, weights in groups.items()]


def _begins(name: str, beginning: str) -> bool:
    return f"{name}.".startswith(f"{beginning}.")


def make_optimizer(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], settings: Optimizer
) -> torch.optim.Optimizer:
    """Return the protocol's optimiser over weights or groups of them, with all of a step in one kernel."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=settings.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(parameters, rate, weight_decay=decay, fused=True)


def rate_factor(step: int, steps: int, settings: Schedule) -> float:
    """Return what the learning rate is multiplied by at ``step`` (from 0) of ``steps``."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    if settings.name == "step":
        return settings.factor ** (step // settings.every)
    if settings.name == "cosine":
        progress = (step - settings.warmup) / max(1, steps - settings.warmup)
        return 0.5 * (1 + math.cos(math.pi * progress))
    if settings.name == "poly":
        return float((1 - step / steps) ** settings.power)
    return 1.0


def make_scheduler(
    optimizer: torch.optim.Optimizer, steps: int, settings: Schedule
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a scheduler to be stepped once per training step."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, steps, settings))
