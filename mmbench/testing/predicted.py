"""Checks of what a method predicts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.methods.base import Method
from mmbench.methods.persistence import load_method, save_method
from mmbench.protocol.vocabulary import Task
from mmbench.testing.examples import IMAGES, SIDE, built, built_on, example_batch, example_problem, parameters
from mmbench.testing.subject import Subject
from mmbench.testing.trials import STEPS, plain_predictions


@dataclass(frozen=True)
class _Part:
    """What a prediction for a task holds: its name, its shape, and how to make probabilities of it."""

    name: str
    shape: tuple[int, ...]
    probability: Callable[[Tensor], Tensor]


_PARTS: Mapping[Task, _Part] = {
    Task.CLASSIFICATION: _Part("class_logits", (IMAGES, 2), lambda logits: logits.softmax(1)),
    Task.SEGMENTATION: _Part("mask_logits", (IMAGES, 1, SIDE, SIDE), torch.sigmoid),
}


def predictions(subject: Subject) -> Iterator[str]:
    """Check shapes, that a batch does not matter, and that predicting changes nothing."""
    method, images = built(subject.cls, subject.values), _images()
    for module in method.modules().values():
        module.eval()
    state = {name: copy.deepcopy(module.state_dict()) for name, module in method.modules().items()}
    for task in sorted(subject.cls.tasks):
        yield from _prediction_of(method, task, images)
    for name, module in method.modules().items():
        if any(child.training for child in module.modules()):
            yield f"predict leaves {name} in training mode"
        if any(not torch.equal(state[name][key], value) for key, value in module.state_dict().items()):
            yield f"predict changes the weights or buffers of {name}"
    if any(p.grad is not None for p in parameters(method)):
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


def adaptation(subject: Subject) -> Iterator[str]:
    """Check that adapting changes predictions, where a method declares it."""
    if subject.cls.adaptation is None:
        return
    found = subject.lively[1]
    plain = plain_predictions(found.method)
    for task, adapted in found.predictions.items():
        if (adapted == plain[task]).all():
            yield f"adapt changes no prediction for {task.value}; remove adaptation, or the task"


def other_classes(subject: Subject) -> Iterator[str]:
    """Check that a method takes three classes and two structures, or says why it does not."""
    cls, classes, structures = subject.cls, ("a", "b", "c"), ("d", "e")
    try:
        example_problem(cls, SIDE, classes, structures)
    except UserError:
        return
    method = built(cls, subject.values, SIDE, classes, structures)
    if not cls.trivial:
        terms = method.losses(example_batch(cls.streams, views=cls.views, classes=3, structures=2))
        torch.stack([term.float() for term in terms.values()]).sum().backward()
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


def saving(subject: Subject) -> Iterator[str]:
    """Check that a new method predicts the same from what is saved of the first, without ``start``."""
    cls = subject.cls
    method = built(cls, subject.values) if cls.trivial else subject.base.method
    problem = example_problem(cls, steps=STEPS)
    # With another seed, so that what build draws at random without saving it is noticed.
    again, device = built_on(cls, subject.values, problem, seed=1), torch.device("cpu")
    with TemporaryDirectory() as folder:
        save_method(method, Path(folder))
        load_method(again, Path(folder), device)
    expected, found = (plain_predictions(one) for one in (method, again))
    for task in sorted(cls.tasks):
        if not torch.allclose(torch.from_numpy(expected[task]), torch.from_numpy(found[task]), atol=1e-6):
            yield (
                f"a method rebuilt from its saved modules and state predicts different {_PARTS[task].name}; "
                "have state() return, and load_state() restore, whatever else predict needs"
            )


def _images() -> Tensor:
    return torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 2 - 1
