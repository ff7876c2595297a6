"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from mmbench.errors import PluginError
from mmbench.methods.base import Method
from mmbench.methods.batch import Batch
from mmbench.networks.inputs import release_memory
from mmbench.networks.modes import evaluation_mode
from mmbench.protocol.schema import Training
from mmbench.randomness import derive_seed, seed_globally
from mmbench.training.averaging import Average, make_average
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.monitoring import Monitor
from mmbench.training.optimization import make_optimizer, make_scheduler, parameter_groups
from mmbench.training.selection import SelectionRule
from mmbench.training.snapshot import Snapshot
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
    resumed_at : list of int
        The steps after which the training resumed from a checkpoint.
    seconds : float
        Spent on all steps, those before an interruption included.
    micro_batch : int
        Images per stream that passed through the network at once in the last step: the batch size, or less
        if memory ran out.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    selected_step: int = 0
    resumed_at: list[int] = field(default_factory=list)
    seconds: float = 0.0
    micro_batch: int = 0


def train(
    method: Method,
    loader: StreamLoader,
    training: Training,
    rule: SelectionRule,
    *,
    device: torch.device,
    monitor: Monitor | None = None,
    checkpoint: Checkpoint | None = None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> History:
    """Train a built method and leave it with the weights that the selection rule keeps.

    Every step's random numbers (dropout, and whatever a method draws from the global generators of torch,
    NumPy or Python) are seeded by (the run's root seed, step), so a training that resumes from a checkpoint
    gives the same weights as one that was not interrupted.

    Where a GPU's memory runs out, the batch is halved and the gradients of the parts are added up, each by
    its share of the images. Since every loss term is a mean over a stream's images, that is the same step,
    dropout's random numbers aside (batch normalisation would see the parts alone, and an image's partner in
    CutMix is one of its part). What the method keeps is what it was before the step that is repeated; where
    ``losses`` changes it all the same, the first part's change counts.

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
    monitor : Monitor, optional
        Validates on the way, and may end the training early.
    checkpoint : Checkpoint, optional
        What to resume from if it exists, and where to save in between.
    on_step : callable
        Told (steps done, steps) after each step.

    Raises
    ------
    DamagedFileError
        If the checkpoint does not match its checksum.
    NonFiniteLossError
        At the first step with a loss term that is not finite; names the step and the term.
    """
    groups = parameter_groups(method, training.optimizer.learning_rate)
    weights = [weight for group in groups for weight in group["params"]]
    optimizer = method.optimizer(weights) or make_optimizer(groups, training.optimizer)
    scheduler = make_scheduler(optimizer, training.steps, training.schedule)
    average = make_average(method, training)
    saved = _Saved(method, optimizer, scheduler, average, rule, monitor)
    history = History(micro_batch=min(training.images_of(stream) for stream in loader.streams))
    if checkpoint is not None and (state := checkpoint.load(device)) is not None:
        saved.load(state, history)
    begin = time.perf_counter() - history.seconds
    losses = method.losses
    if training.compile:
        losses = torch.compile(losses, mode="reduce-overhead" if device.type == "cuda" else "default")
    gradients = _Gradients(method, losses, loader, training, optimizer, weights, history, device)
    stages = stage_starts(method, training.steps)
    for step in range(len(history.losses) + 1, training.steps + 1):
        if monitor is not None and monitor.stopped:
            break
        if step in stages:
            _begin_stage(method, stages[step], loader)
        values = gradients.fill(step)
        if training.clip is not None:
            clip_grad_norm_(weights, training.clip)
        optimizer.step()
        scheduler.step()
        method.after_step(step)
        average.after_step(step)
        history.losses.append({"step": step, **values, **method.log()})
        _look(step, training.steps, method, average, rule, monitor)
        if checkpoint is not None and checkpoint.due():
            history.seconds = time.perf_counter() - begin
            checkpoint.save(saved.state(history))
        on_step(step, training.steps)
    average.keep()
    history.selected_step = rule.finish(len(history.losses), method)
    history.seconds = time.perf_counter() - begin
    return history


def stage_starts(method: Method, steps: int) -> dict[int, int]:
    """Return the number of each stage that a method asks for, by its first step.

    Raises
    ------
    PluginError
        If the parts of the training are not in (0, 1) and rising, or two stages begin at one step.
    """
    parts = list(method.stages())
    found = {math.floor(part * steps) + 1: number for number, part in enumerate(parts, 1)}
    if parts != sorted(parts) or len(found) < len(parts) or not all(0 < part < 1 for part in parts):
        raise PluginError(
            f"method {method.name!r}: stages() returns {parts}; return rising parts of the training, each "
            f"between 0 and 1 and a step of the {steps} apart"
        )
    return found


def _begin_stage(method: Method, number: int, loader: StreamLoader) -> None:
    seed_globally(derive_seed(loader.seed, "stage", number))
    with ExitStack() as stack:
        for module in method.modules().values():
            stack.enter_context(evaluation_mode(module))
        stack.enter_context(torch.no_grad())
        method.begin_stage(number, loader.pools())


def _look(
    step: int, steps: int, method: Method, average: Average, rule: SelectionRule, monitor: Monitor | None
) -> None:
    """Show monitor and selection rule the weights that would be evaluated, where they are due to look."""
    if monitor is not None and monitor.due(step):
        with average.in_place():
            monitor.after_step(step, method)
        average.after_validation(monitor.scores[-1])
        steps = step if monitor.stopped else steps
    if rule.due(step, steps):
        with average.in_place():
            rule.after_step(step, method)


def _combines(method: Method) -> bool:
    return type(method).combine is not Method.combine


@dataclass(frozen=True)
class _Gradients:
    """Fills the weights' gradients for a step, in as many parts as memory needs."""

    method: Method
    losses: Callable[[Batch], dict[str, Tensor]]
    loader: StreamLoader
    training: Training
    optimizer: torch.optim.Optimizer
    weights: list[nn.Parameter]
    history: History
    device: torch.device

    def fill(self, step: int) -> dict[str, float]:
        """Return the step's loss terms; their gradients are in the weights."""
        before = Snapshot(self.method)
        while True:
            try:
                return self._attempt(step)
            except torch.cuda.OutOfMemoryError:
                if self.history.micro_batch == 1:
                    raise
            # Outside the handler, which would keep the failed pass's tensors alive.
            self.history.micro_batch = -(-self.history.micro_batch // 2)
            before.restore()
            release_memory(self.device)

    def _attempt(self, step: int) -> dict[str, float]:
        seed_globally(derive_seed(self.loader.seed, "step", step - 1))
        self.optimizer.zero_grad(set_to_none=True)
        self.method.forget_observed()
        values: dict[str, float] = {}
        by_term: dict[str, Tensor] | None = {} if _combines(self.method) else None
        first: Snapshot | None = None
        for part, share in self.loader.batch(step).split(self.history.micro_batch):
            self._add(part, share, values, by_term)
            if first is None and share < 1:
                first = Snapshot(self.method)
        if first is not None:
            first.restore_state()
        if by_term is not None:
            self._set(self.method.combine(by_term))
        return values

    def _add(
        self, part: Batch, share: float, values: dict[str, float], by_term: dict[str, Tensor] | None
    ) -> None:
        """Add a part's loss terms, and its gradients, together or by term, to those of earlier parts."""
        bf16 = self.training.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            terms = self.losses(part)
        stacked = torch.stack([term.float() for term in terms.values()]) * share
        for name, value in zip(terms, stacked.tolist(), strict=True):
            if not math.isfinite(value):
                raise NonFiniteLossError(f"loss term {name!r} is {value} at step {part.step}")
            values[name] = values.get(name, 0.0) + value
        if by_term is None:
            stacked.sum().backward()
            return
        for name, term in zip(terms, stacked.unbind(), strict=True):
            found = torch.autograd.grad(term, self.weights, retain_graph=True, materialize_grads=True)
            own = torch.cat([gradient.flatten().float() for gradient in found])
            by_term[name] = by_term[name] + own if name in by_term else own

    def _set(self, gradient: Tensor) -> None:
        """Make one vector the weights' gradients."""
        parts = gradient.split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype)


@dataclass(frozen=True)
class _Saved:
    """What a checkpoint keeps of a training."""

    method: Method
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    average: Average
    rule: SelectionRule
    monitor: Monitor | None

    def state(self, history: History) -> dict[str, Any]:
        return {
            "modules": {name: module.state_dict() for name, module in self.method.modules().items()},
            "method": self.method.state(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": self.average.state(),
            "rule": self.rule.state(),
            "monitor": self.monitor.state() if self.monitor is not None else {},
            "losses": history.losses,
            "resumed_at": history.resumed_at,
            "seconds": history.seconds,
            "micro_batch": history.micro_batch,
        }

    def load(self, state: dict[str, Any], history: History) -> None:
        for name, module in self.method.modules().items():
            module.load_state_dict(state["modules"][name])
        self.method.load_state(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.average.load_state(state["average"])
        self.rule.load_state(state["rule"])
        if self.monitor is not None:
            self.monitor.load_state(state["monitor"])
        history.losses, history.seconds = state["losses"], state["seconds"]
        history.micro_batch = state["micro_batch"]
        history.resumed_at = [*state["resumed_at"], len(history.losses)]
