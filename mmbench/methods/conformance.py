"""What every method must keep to, checked on a small made-up batch.

The built-in methods pass it in the tests; ``mmbench method check`` runs it on a contributor's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from mmbench.methods.base import Batch, LabeledData, Method, Problem, StreamBatch
from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import Stream, Task

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


def example_batch(streams: set[Stream], side: int = SIDE) -> Batch:
    """Return a made-up batch of four images per stream, the same on every call."""
    random = torch.Generator().manual_seed(0)

    def images() -> Tensor:
        return torch.rand(IMAGES, 1, side, side, generator=random) * 2 - 1

    every = {
        Stream.LABELED_CLASSIFICATION: StreamBatch(images(), labels=torch.tensor([0, 1, 1, 0])),
        Stream.UNLABELED_CLASSIFICATION: StreamBatch(images(), strong=images()),
        Stream.LABELED_SEGMENTATION: StreamBatch(images(), masks=(images() > 0).float()),
        Stream.UNLABELED_SEGMENTATION: StreamBatch(images()),
    }
    return {stream: part for stream, part in every.items() if stream in streams}


def built(cls: type[Method], hyperparameters: dict[str, Any], side: int = SIDE) -> Method:
    """Return a method built on the narrow paper network and started, ready for its first step."""
    method = cls(cls.Hyperparameters.model_validate(hyperparameters))
    torch.manual_seed(0)
    method.build(Problem(frozenset(cls.tasks), Backbone(width=0.25), side))
    batch = example_batch(set(Stream), side)
    masks = batch[Stream.LABELED_SEGMENTATION].masks
    assert masks is not None
    method.start(
        LabeledData(
            labels=batch[Stream.LABELED_CLASSIFICATION].labels if Task.CLASSIFICATION in cls.tasks else None,
            masks=masks[:, 0].to(torch.uint8) if Task.SEGMENTATION in cls.tasks else None,
        )
    )
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
    method, batch = built(cls, values), example_batch(cls.streams)
    if not method.modules():
        yield "build makes no nn.Module as an attribute, so there is nothing to train"
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
        for key in ("images", "labels", "masks", "strong"):
            now, then = getattr(part, key), getattr(before[stream], key)
            if now is not None and not torch.equal(now, then):
                yield f"losses writes into the batch ({stream.value}.{key})"


def _prediction(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    method = built(cls, values)
    images = example_batch({Stream.UNLABELED_SEGMENTATION})[Stream.UNLABELED_SEGMENTATION].images
    for module in method.modules().values():
        module.eval()
    state = {name: copy.deepcopy(module.state_dict()) for name, module in method.modules().items()}
    with torch.no_grad():  # a part may be computed only when it is asked for
        first, second, alone = (
            {key: getattr(found, key) for key in ("class_logits", "mask_logits")}
            for found in map(method.predict, (images, images, images[:1]))
        )
    shapes: dict[Task, tuple[str, tuple[int, ...], Callable[[Tensor], Tensor]]] = {
        Task.CLASSIFICATION: ("class_logits", (IMAGES, 2), lambda logits: logits.softmax(1)),
        Task.SEGMENTATION: ("mask_logits", (IMAGES, 1, SIDE, SIDE), torch.sigmoid),
    }
    for task, (key, shape, probability) in shapes.items():
        if task not in cls.tasks:
            continue
        one, again, single = (found[key] for found in (first, second, alone))
        if one is None or one.shape != shape:
            yield f"predict gives {key} of shape {None if one is None else tuple(one.shape)}, not {shape}"
            continue
        if not torch.equal(one, again):
            yield f"predict gives other {key} for the same images the second time"
        elif not torch.allclose(probability(one[:1]), probability(single), atol=1e-4):
            yield f"predict gives an image other {key} alone than in a batch"
    for name, module in method.modules().items():
        if any(child.training for child in module.modules()):
            yield f"predict leaves {name} in training mode"
        if any(not torch.equal(state[name][key], value) for key, value in module.state_dict().items()):
            yield f"predict changes the weights or buffers of {name}"
    if any(p.grad is not None for p in _parameters(method)):
        yield "predict leaves gradients in the weights"


def _resuming(cls: type[Method], values: dict[str, Any]) -> Iterator[str]:
    if cls.trivial:
        return
    batch = example_batch(cls.streams)
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
                f"a training that goes on from a checkpoint ends with other weights of {name}; let "
                "state() return, and load_state() take back, what losses or after_step change besides"
            )
            return


def _optimizer(method: Method) -> torch.optim.Optimizer:
    parameters = [p for p in _parameters(method) if p.requires_grad]
    return method.optimizer(parameters) or torch.optim.Adam(parameters, 1e-3)


def _steps(method: Method, optimizer: torch.optim.Optimizer, batch: Batch, steps: range) -> None:
    for module in method.modules().values():
        module.train()
    for step in steps:
        torch.manual_seed(step)
        terms = method.losses(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()
        method.after_step(step)


def _parameters(method: Method) -> list[torch.nn.Parameter]:
    return [p for module in method.modules().values() for p in module.parameters()]


_CHECKS = {
    "Hyperparameters": _hyperparameters,
    "losses": _training,
    "predict": _prediction,
    "a checkpoint": _resuming,
}
