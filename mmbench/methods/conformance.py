"""What every method must keep to, checked on a small made-up batch.

The built-in methods pass it in the tests; ``mmbench method check`` runs it on a contributor's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from mmbench.methods.base import LabeledData, Method, Problem
from mmbench.methods.batch import Batch, CutMix, Geometry, Pool, StreamBatch, Views
from mmbench.methods.persistence import load_method, save_method
from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Stream, Task
from mmbench.randomness import seed_globally

IMAGES = 4
SIDE = 64


def faults(cls: type[Method], hyperparameters: dict[str, Any] | None = None) -> list[str]:
    """Return how a method breaks its contract, one line each; empty if it keeps it.

    Parameters
    ----------
    cls : type of Method
        The class to check.
    hyperparameters : dict, optional
        Values that differ from the defaults.
    """
    found: list[str] = []
    for name, check in _CHECKS.items():
        try:
            found += check(cls, hyperparameters or {})
        except Exception as error:  # whatever a stranger's code raises is a fault to report, not ours
            found.append(f"{name} raises {type(error).__name__}: {' '.join(str(error).split())}")
    return found


def example_batch(
    streams: set[Stream],
    side: int = SIDE,
    views: Mapping[Stream, Views] | None = None,
    *,
    classes: int = 2,
    structures: int = 1,
) -> Batch:
    """Return a made-up batch of four images per stream, the same on every call."""
    random = torch.Generator().manual_seed(0)

    def images() -> Tensor:
        return torch.rand(IMAGES, 1, side, side, generator=random) * 2 - 1

    every = {}
    for stream in Stream:
        part, asked = StreamBatch(images(), rows=torch.arange(IMAGES)), (views or {}).get(stream, Views())
        part.weak += tuple(images() for _ in range(asked.weak - 1))
        if stream is Stream.LABELED_CLASSIFICATION:
            part.labels = torch.tensor([0, 1, classes - 1, 0])
        elif stream is Stream.LABELED_SEGMENTATION:
            part.masks = torch.cat([(images() > 0).float() for _ in range(structures)], 1)
        if asked.strong:
            part.strong = tuple(images() for _ in range(asked.strong))
        if asked.cutmix:
            partners = torch.arange(1, IMAGES + 1) % IMAGES
            part.cutmix = tuple(CutMix(images() > 0.5, partners) for _ in range(asked.strong))
        every[stream] = part
    return Batch({stream: part for stream, part in every.items() if stream in streams})


def example_pools(batch: Batch) -> dict[Stream, Pool]:
    """Return pools that hold a batch's images, for :meth:`Method.begin_stage`."""
    return {stream: _ExamplePool(part) for stream, part in batch.items()}


@dataclass(frozen=True)
class _ExamplePool:
    part: StreamBatch

    def __len__(self) -> int:
        return len(self.part.images)

    def batches(self) -> Iterator[StreamBatch]:
        yield self.part


def built(
    cls: type[Method],
    hyperparameters: dict[str, Any],
    side: int = SIDE,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
) -> Method:
    """Return a method built on the narrow paper network and started, ready for its first step."""
    method = _new(cls, hyperparameters, _problem(cls, side, classes, structures), seed=0)
    batch = example_batch(set(Stream), side, classes=len(classes), structures=len(structures))
    masks = batch[Stream.LABELED_SEGMENTATION].masks
    method.start(
        LabeledData(
            labels=batch[Stream.LABELED_CLASSIFICATION].labels if Task.CLASSIFICATION in cls.tasks else None,
            masks=masks.to(torch.uint8) if Task.SEGMENTATION in cls.tasks else None,
            pool_sizes=dict.fromkeys(cls.streams, IMAGES),
        )
    )
    return method


def _problem(
    cls: type[Method],
    side: int = SIDE,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
) -> Problem:
    return Problem(frozenset(cls.tasks), Backbone(width=0.25), side, classes=classes, structures=structures)


def _new(cls: type[Method], hyperparameters: dict[str, Any], problem: Problem, seed: int) -> Method:
    method = cls(cls.Hyperparameters.model_validate(hyperparameters))
    torch.manual_seed(seed)
    method.build(problem)
    return method


def _hyperparameters(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    model = cls.Hyperparameters.model_validate(values)
    if cls.Hyperparameters.model_validate(model.model_dump(mode="json")) != model:
        yield "Hyperparameters change when written as JSON and read back"
    if cls.Hyperparameters.model_config.get("extra") != "forbid":
        yield "Hyperparameters accept unknown keys; derive them from Method.Hyperparameters"


def _training(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    if cls.trivial:
        return
    method, batch = built(cls, values), example_batch(cls.streams, views=cls.views)
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
    if not any(p.grad is not None and p.grad.abs().sum() > 0 for p in _parameters(method)):
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


@dataclass(frozen=True)
class _Part:
    """What a prediction for a task holds: its name, its shape, and how to make probabilities of it."""

    name: str
    shape: tuple[int, ...]
    probability: Callable[[Tensor], Tensor]


_PARTS = {
    Task.CLASSIFICATION: _Part("class_logits", (IMAGES, 2), lambda logits: logits.softmax(1)),
    Task.SEGMENTATION: _Part("mask_logits", (IMAGES, 1, SIDE, SIDE), torch.sigmoid),
}


def _prediction(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    method, images = built(cls, values), _images()
    for module in method.modules().values():
        module.eval()
    state = {name: copy.deepcopy(module.state_dict()) for name, module in method.modules().items()}
    for task in sorted(cls.tasks):
        yield from _prediction_of(method, task, images)
    for name, module in method.modules().items():
        if any(child.training for child in module.modules()):
            yield f"predict leaves {name} in training mode"
        if any(not torch.equal(state[name][key], value) for key, value in module.state_dict().items()):
            yield f"predict changes the weights or buffers of {name}"
    if any(p.grad is not None for p in _parameters(method)):
        yield "predict leaves gradients in the weights"


def _prediction_of(method: Method, task: Task, images: Tensor) -> Iterator[str]:
    part = _PARTS[task]
    with torch.no_grad():
        whole, again, alone = (method.predict(given, task) for given in (images, images, images[:1]))
    for other in _PARTS.values():
        if other is not part and getattr(whole, other.name) is not None:
            yield f"predict returns {other.name} when asked for {task}; return only what is asked for"
    first, second, single = (getattr(found, part.name) for found in (whole, again, alone))
    if first is None or first.shape != part.shape:
        shape = None if first is None else tuple(first.shape)
        yield f"predict returns {part.name} of shape {shape}, not {part.shape}"
    elif not torch.equal(first, second):
        yield f"predict returns different {part.name} when called twice with the same images"
    elif not torch.allclose(part.probability(first[:1]), part.probability(single), atol=1e-4):
        yield f"predict returns different {part.name} for an image alone than for it in a batch"


def _other_classes(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    """Check that a method takes three classes and two structures, or says why it does not."""
    classes, structures = ("a", "b", "c"), ("d", "e")
    if cls.skip(_problem(cls, SIDE, classes, structures)) is not None:
        return
    method = built(cls, values, SIDE, classes, structures)
    if not cls.trivial:
        batch = example_batch(cls.streams, views=cls.views, classes=3, structures=2)
        _steps(method, _optimizer(method), batch, range(1))
    for module in method.modules().values():
        module.eval()
    shapes = {Task.CLASSIFICATION: (IMAGES, 3), Task.SEGMENTATION: (IMAGES, 2, SIDE, SIDE)}
    for task in sorted(cls.tasks):
        with torch.no_grad():
            found = getattr(method.predict(_images(), task), _PARTS[task].name)
        if found is not None and found.shape != shapes[task]:
            yield (
                f"of 3 classes and 2 structures, predict returns {_PARTS[task].name} of shape "
                f"{tuple(found.shape)}, not {shapes[task]}; build heads for problem.num_classes and "
                "problem.num_structures, or have skip() say that the method cannot"
            )


def _saving(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    """Check that a new method predicts the same from what is saved of the first, without ``start``."""
    method = built(cls, values)
    if not cls.trivial:
        _steps(method, _optimizer(method), example_batch(cls.streams, views=cls.views), range(2))
    # With another seed, so that what build draws at random without saving it is noticed.
    again, device = _new(cls, values, _problem(cls), seed=1), torch.device("cpu")
    with TemporaryDirectory() as folder:
        save_method(method, Path(folder))
        load_method(again, Path(folder), device)
    for one in (method, again):
        for module in one.modules().values():
            module.eval()
    images = _images()
    for task in sorted(cls.tasks):
        part = _PARTS[task]
        with torch.no_grad():
            expected, found = (getattr(one.predict(images, task), part.name) for one in (method, again))
        if expected is None:  # _prediction reports it
            continue
        if found is None or not torch.allclose(
            part.probability(expected), part.probability(found), atol=1e-6
        ):
            yield (
                f"a method rebuilt from its saved modules and state predicts different {part.name}; have "
                "state() return, and load_state() restore, whatever else predict needs"
            )


def _images() -> Tensor:
    return example_batch({Stream.UNLABELED_SEGMENTATION})[Stream.UNLABELED_SEGMENTATION].images


def _resuming(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    if cls.trivial:
        return
    batch = example_batch(cls.streams, views=cls.views)
    whole, first, second = (built(cls, values) for _ in range(3))
    _steps(whole, _optimizer(whole), batch, range(4))
    saved = _optimizer(first)
    _steps(first, saved, batch, range(2))
    for name, module in second.modules().items():
        module.load_state_dict(copy.deepcopy(first.modules()[name].state_dict()))
    second.load_state(copy.deepcopy(first.state()))
    loaded = _optimizer(second)
    loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
    _steps(second, loaded, batch, range(2, 4))
    for name, module in whole.modules().items():
        found = second.modules()[name].state_dict()
        if any(not torch.equal(value, found[key]) for key, value in module.state_dict().items()):
            yield (
                f"training resumed from a checkpoint ends with different weights in {name}; have state() "
                "return, and load_state() restore, whatever else losses and after_step change"
            )
            return


def _optimizer(method: Method) -> torch.optim.Optimizer:
    parameters = [p for p in _parameters(method) if p.requires_grad]
    return method.optimizer(parameters) or torch.optim.Adam(parameters, 1e-3)


def _steps(method: Method, optimizer: torch.optim.Optimizer, batch: Batch, steps: range) -> None:
    for step in steps:
        seed_globally(step)
        method.forget_observed()
        terms = method.losses(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()
        method.after_step(step + 1)


def _parameters(method: Method) -> list[torch.nn.Parameter]:
    return [p for module in method.modules().values() for p in module.parameters()]


_CHECKS = {
    "Hyperparameters": _hyperparameters,
    "losses": _training,
    "predict": _prediction,
    "resuming from a checkpoint": _resuming,
    "saving and loading": _saving,
    "three classes and two structures": _other_classes,
}
