"""Checks of how a method learns."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from mmbench.methods.batch import CutMix, Geometry
from mmbench.randomness import seed_globally
from mmbench.testing.examples import built, example_batch, parameters
from mmbench.testing.subject import Subject
from mmbench.testing.trials import trial
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.snapshot import Snapshot


def losses(subject: Subject) -> Iterator[str]:
    """Check that losses are finite, reach a weight, and leave the batch as it is."""
    cls = subject.cls
    if cls.trivial:
        return
    method, batch = built(cls, subject.values), example_batch(cls.streams, views=cls.views)
    if not method.modules():
        yield "build assigns no nn.Module to an attribute, so there is nothing to train"
        return
    before = copy.deepcopy(batch)
    terms = method.losses(batch)
    for name, value in terms.items():
        if not (isinstance(value, Tensor) and value.shape == () and torch.isfinite(value)):
            yield f"loss term {name!r} is not a finite scalar tensor"
            return
    total = torch.stack([value.float() for value in terms.values()]).sum()
    if not total.requires_grad:
        yield "no loss term depends on a weight"
        return
    total.backward()
    if not any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters(method)):
        yield "no weight receives a gradient"
    for stream, part in batch.items():
        for key, value in vars(part).items():
            if not _same(value, getattr(before[stream], key)):
                yield f"losses modifies the batch ({stream.value}.{key})"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    if isinstance(one, (CutMix, Geometry)):
        return _same(tuple(vars(one).values()), tuple(vars(other).values()))
    return torch.equal(one, other)


def terms(subject: Subject) -> Iterator[str]:
    """Check that every loss term does something at some step."""
    if subject.cls.trivial:
        return
    found = subject.lively[1]
    for name in dict.fromkeys(name for terms in found.terms for name in terms):
        if name not in found.alive | subject.base.alive and name not in subject.longer.alive:
            zero = all(terms.get(name, 0) == 0 for terms in found.terms)
            what = "is 0" if zero else "has no gradient by any weight"
            yield (
                f"loss term {name!r} {what} at every step, with the default hyper-parameters and with others"
            )


def streams(subject: Subject) -> Iterator[str]:
    """Check that every declared stream changes something."""
    if subject.cls.trivial:
        return
    values, plain = subject.lively
    for stream in sorted(subject.cls.streams):
        if not trial(subject.cls, values, changed=stream).differs(plain):
            yield f"stream {stream.value} changes no loss term and no prediction; remove it from streams"


def repeated_steps(subject: Subject) -> Iterator[str]:
    """Check that a step that is repeated, as where memory runs out, has the same losses."""
    cls = subject.cls
    if cls.trivial:
        return
    method, batch = built(cls, subject.values), example_batch(cls.streams, views=cls.views)
    found = []
    before = Snapshot(method)
    for _ in range(2):
        before.restore()
        method.forget_observed()
        seed_globally(0)
        found.append({name: float(term.detach()) for name, term in method.losses(batch).items()})
    for name, value in found[0].items():
        if found[1].get(name) != value:
            yield (
                f"loss term {name!r} is another one when losses is called again for the same step; hand what "
                "it learns to observe, keep it in after_step, and return it from state()"
            )


def teachers(subject: Subject) -> Iterator[str]:
    """Check that a network that is a copy of another one moves."""
    if subject.cls.trivial:
        return
    method, before = subject.lively[1].method, subject.lively[1].before
    now = {name: module.state_dict() for name, module in method.modules().items()}
    moved = {
        name: any(not torch.equal(value, before[name][key]) for key, value in state.items())
        for name, state in now.items()
    }
    for name, state in now.items():
        learns = any(weight.requires_grad for weight in method.modules()[name].parameters())
        alike = [other for other in now if moved[other] and now[other].keys() == state.keys()]
        if not learns and not moved[name] and alike:
            yield (
                f"{name} has the layers of {alike[0]} and never moves; have after_step move it: "
                f"blocks.follow(self.{name}, self.{alike[0]}, decay)"
            )


class _InterruptedError(Exception):
    """A training that was ended in its midst."""


def resuming(subject: Subject) -> Iterator[str]:
    """Check that a training that was interrupted ends with the weights of a whole one."""
    cls = subject.cls
    if cls.trivial:
        return

    def interrupt(step: int, steps: int) -> None:
        if step == steps // 2:
            raise _InterruptedError

    values, whole = subject.lively
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        try:
            trial(cls, values, checkpoint=Checkpoint(path, "", every=0), on_step=interrupt)
        except _InterruptedError:
            resumed = trial(cls, values, checkpoint=Checkpoint(path, "", every=0))
    for name, module in whole.method.modules().items():
        found = resumed.method.modules()[name].state_dict()
        if any(not torch.equal(value, found[key]) for key, value in module.state_dict().items()):
            yield (
                f"training resumed from a checkpoint ends with different weights in {name}; have state() "
                "return, and load_state() restore, whatever else losses and after_step change"
            )
            return
