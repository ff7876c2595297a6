"""Optimisers and learning-rate schedules of a protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from mmbench.protocol.schema import Optimizer, Schedule


def make_optimizer(parameters: Iterable[nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """Return the protocol's optimiser over ``parameters``, with all of a step in one kernel."""
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
    return 1.0


def make_scheduler(
    optimizer: torch.optim.Optimizer, steps: int, settings: Schedule
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a scheduler to be stepped once per training step."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, steps, settings))
