"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

import torch

from mmbench.methods.base import Method
from mmbench.protocol.schema import Training
from mmbench.randomness import derive_seed
from mmbench.training.optimization import make_optimizer, make_scheduler
from mmbench.training.selection import SelectionRule
from mmbench.training.streams import StreamLoader


class NonFiniteLossError(ArithmeticError):
    """A loss term became infinite or not a number."""


@dataclass
class History:
    """What a training leaves behind beside its weights.

    Attributes
    ----------
    losses : list of dict
        One row per step: ``step`` and the named, weighted loss terms.
    selected_step : int
        The step whose weights were kept.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    selected_step: int = 0


def train(
    method: Method,
    loader: StreamLoader,
    training: Training,
    rule: SelectionRule,
    *,
    device: torch.device,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> History:
    """Train a built method and leave it with the weights that the selection rule keeps.

    Every step's dropout is seeded by (protocol seed, seed, step).

    Parameters
    ----------
    method : Method
        Built, its modules on the device.
    loader : StreamLoader
        Makes the batches.
    training : Training
        Steps, optimiser, schedule and precision.
    rule : SelectionRule
        Which weights to keep.
    device : torch.device
        Where the method's modules are.
    on_step : callable
        Told (steps done, steps) after each step.

    Raises
    ------
    NonFiniteLossError
        At the first step with a loss term that is not finite; names the step and the term.
    """
    parameters = [p for p in chain(*(m.parameters() for m in method.modules().values())) if p.requires_grad]
    optimizer = method.optimizer(parameters) or make_optimizer(parameters, training.optimizer)
    scheduler = make_scheduler(optimizer, training.steps, training.schedule)
    history = History()
    for module in method.modules().values():
        module.train()
    for step in range(training.steps):
        torch.manual_seed(derive_seed(loader.protocol_seed, "step", loader.seed, step))
        batch = loader.batch(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bf16"):
            terms = method.losses(batch)
        stacked = torch.stack([term.float() for term in terms.values()])
        values = dict(zip(terms, stacked.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                raise NonFiniteLossError(f"loss term {name!r} is {value} at step {step + 1}")
        optimizer.zero_grad(set_to_none=True)
        stacked.sum().backward()
        optimizer.step()
        scheduler.step()
        method.after_step(step)
        history.losses.append({"step": step + 1, **values, **method.log()})
        rule.after_step(step + 1, training.steps, method)
        on_step(step + 1, training.steps)
    history.selected_step = rule.finish(training.steps, method)
    return history
