"""What every method must keep to, each check a function that says how it is broken.

The built-in methods pass all of it in the tests; ``mmbench check`` runs it on a contributor's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mmbench.errors import PluginError, UserError
from mmbench.methods.base import Method
from mmbench.methods.batch import CutMix, Geometry
from mmbench.methods.persistence import load_method, save_method
from mmbench.plugins.discovery import discover
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import seed_globally
from mmbench.testing.examples import (
    IMAGES,
    SIDE,
    built,
    built_on,
    example_batch,
    example_problem,
)
from mmbench.testing.trials import MANY, STEPS, Trial, plain_predictions, trial
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.snapshot import Snapshot


def faults(
    cls: type[Method],
    hyperparameters: dict[str, Any] | None = None,
    *,
    on_check: Callable[[str, list[str]], None] = lambda name, found: None,
) -> list[str]:
    """Return how a method breaks its contract, one line each; empty if it keeps it.

    Parameters
    ----------
    cls : type of Method
        The class to check.
    hyperparameters : dict, optional
        Values that differ from the defaults.
    on_check : callable
        Told each check's name and what it found.
    """
    subject, every = Subject(cls, hyperparameters or {}), []
    for name in CHECKS:
        found = subject.faults(name)
        on_check(name, found)
        every += found
    return every


@dataclass
class Subject:
    """A method under test, with the trainings that several checks look at.

    Attributes
    ----------
    cls : type of Method
        The class.
    values : dict
        Hyper-parameters that differ from the defaults.
    """

    cls: type[Method]
    values: dict[str, Any]

    def faults(self, name: str) -> list[str]:
        """Return what one check finds."""
        try:
            return list(CHECKS[name](self))
        except Exception as error:  # whatever a stranger's code raises is a fault to report, not ours
            return [f"{name} raises {type(error).__name__}: {' '.join(str(error).split())}"]

    @cached_property
    def base(self) -> Trial:
        """A training with the method's own hyper-parameters."""
        return trial(self.cls, self.values)

    @cached_property
    def longer(self) -> Trial:
        """The same with more steps, for what only shows where predictions have become sure."""
        return trial(self.cls, self.values, steps=MANY)

    @cached_property
    def lively(self) -> tuple[dict[str, Any], Trial]:
        """The hyper-parameters, at most one of them changed, with which most loss terms do something.

        A loss of confident predictions is zero in a few steps from random weights, unless the threshold is
        lowered.
        """
        best = (self.values, self.base)
        every = set().union(*self.base.terms)
        for name in self.cls.Hyperparameters.model_fields:
            for other, found in self.variants(name, self.values):
                if every <= best[1].alive:
                    return best
                every |= set().union(*found.terms)
                if len(found.alive) > len(best[1].alive):
                    best = (other, found)
        return best

    def variants(
        self, name: str, values: dict[str, Any], steps: int = STEPS
    ) -> Iterator[tuple[dict[str, Any], Trial]]:
        """Yield trainings with other values of a hyper-parameter; values that are refused are left out."""
        known = getattr(self.cls.Hyperparameters.model_validate(values), name)
        for value in _others(known, self.cls.Hyperparameters.model_fields[name].annotation):
            other = {**values, name: value}
            key = (steps, *sorted((key, repr(one)) for key, one in other.items()))
            if key not in self._variants:
                try:
                    self.cls.Hyperparameters.model_validate(other)
                    self._variants[key] = trial(self.cls, other, steps=steps)
                except PluginError:
                    if isinstance(value, str):
                        self.refused.add(name)
                    self._variants[key] = None
                except (UserError, ValidationError, ValueError, ArithmeticError, RuntimeError):
                    self._variants[key] = None
            found = self._variants[key]
            if found is not None:
                yield other, found

    @cached_property
    def refused(self) -> set[str]:
        """Choices that the method cannot make here, as where a package is missing, by hyper-parameter."""
        return set()

    @cached_property
    def _variants(self) -> dict[tuple[Any, ...], Trial | None]:
        return {}


def _others(value: Any, annotation: Any) -> list[Any]:
    """Return other values that a hyper-parameter might have."""
    if get_origin(annotation) is Literal:
        return [other for other in get_args(annotation) if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [other for other in (value + 1, 2 * value, 0, 1) if other != value]
    if isinstance(value, float):
        return [other for other in (value / 2, 2 * value + 0.1, 0.0, 1.0) if other != value]
    return []


def _hyperparameters(subject: Subject) -> Iterator[str]:
    cls = subject.cls
    model = cls.Hyperparameters.model_validate(subject.values)
    if cls.Hyperparameters.model_validate(model.model_dump(mode="json")) != model:
        yield "Hyperparameters change when written as JSON and read back"
    if cls.Hyperparameters.model_config.get("extra") != "forbid":
        yield "Hyperparameters accept unknown keys; derive them from Method.Hyperparameters"


def _effects(subject: Subject) -> Iterator[str]:
    if subject.cls.trivial:
        return
    for name in subject.cls.Hyperparameters.model_fields:
        tried = [found.differs(plain) for found, plain in _compared(subject, name)]
        if tried and not any(tried) and not subject.refused:
            yield (
                f"hyper-parameter {name!r} changes nothing in {MANY} steps of training and the predictions "
                "after them; use it or remove it"
            )


def _compared(subject: Subject, name: str) -> Iterator[tuple[Trial, Trial]]:
    """Yield trainings with another value of a hyper-parameter and with its own, until one differs."""
    for values, plain in (subject.lively, (subject.values, subject.base)):
        for _, found in subject.variants(name, values):
            yield found, plain
            if found.differs(plain):
                return
    # It may count only where another one has another value, that cannot be tried if a package is missing.
    if subject.refused:
        return
    for other in subject.cls.Hyperparameters.model_fields:
        if other != name:
            for values, plain in subject.variants(other, subject.values):
                for _, found in subject.variants(name, values):
                    yield found, plain
                    if found.differs(plain):
                        return
    for _, found in subject.variants(name, subject.values, MANY):
        yield found, subject.longer
        if found.differs(subject.longer):
            return


def _training(subject: Subject) -> Iterator[str]:
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


def _terms(subject: Subject) -> Iterator[str]:
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


def _streams(subject: Subject) -> Iterator[str]:
    if subject.cls.trivial:
        return
    values, plain = subject.lively
    for stream in sorted(subject.cls.streams):
        if not trial(subject.cls, values, changed=stream).differs(plain):
            yield f"stream {stream.value} changes no loss term and no prediction; remove it from streams"


def _repeating(subject: Subject) -> Iterator[str]:
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


def _teachers(subject: Subject) -> Iterator[str]:
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


def _prediction(subject: Subject) -> Iterator[str]:
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


def _adaptation(subject: Subject) -> Iterator[str]:
    if subject.cls.adaptation is None:
        return
    plain = plain_predictions(subject.base.method)
    for task, adapted in subject.base.predictions.items():
        if (adapted == plain[task]).all():
            yield f"adapt changes no prediction for {task.value}; remove adaptation, or the task"


def _shared_training(subject: Subject) -> Iterator[str]:
    """Check that a method that takes another one's weights over would have trained the same."""
    name = subject.cls.trained_as
    if not name:
        return
    if name not in _known():
        yield f"trained_as names {name!r}, and there is no such method"
        return
    own = subject.cls.Hyperparameters.model_validate(subject.values).model_dump(mode="json")
    other = _known()[name]
    values = {key: value for key, value in own.items() if key in other.Hyperparameters.model_fields}
    problem = example_problem(subject.cls, steps=STEPS)
    base = trial(other, values, problem=problem).method.modules()
    for attribute, module in subject.base.method.modules().items():
        expected = base[attribute].state_dict() if attribute in base else {}
        found = module.state_dict()
        if found.keys() != expected.keys() or any(
            not torch.equal(value, expected[key]) for key, value in found.items()
        ):
            yield (
                f"trained_as names {name!r}, but after {STEPS} steps {attribute} has other weights than that "
                "method's; remove trained_as"
            )


def _other_classes(subject: Subject) -> Iterator[str]:
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


def _saving(subject: Subject) -> Iterator[str]:
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


class _InterruptedError(Exception):
    """A training that was ended in its midst."""


def _resuming(subject: Subject) -> Iterator[str]:
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


def _originality(subject: Subject) -> Iterator[str]:
    """Check that a method is not another one by another name."""
    if subject.cls.trivial:
        return
    mine = subject.lively[1]
    for name, cls in _known().items():
        related = name in (subject.cls.name, subject.cls.trained_as) or cls.trained_as == subject.cls.name
        if related or cls.tasks != subject.cls.tasks or cls.trivial:
            continue
        if not mine.predicts_otherwise(_known_trial(name)):
            yield f"after {STEPS} steps of training it predicts exactly what {name} does; say what differs"


@lru_cache(maxsize=1)
def _known() -> dict[str, type[Method]]:
    registry = discover()
    return {name: registry.get(name).cls for name in registry}


@lru_cache(maxsize=64)
def _known_trial(name: str) -> Trial:
    return trial(_known()[name], {})


def _images() -> Tensor:
    return torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 2 - 1


def _parameters(method: Method) -> list[nn.Parameter]:
    return [p for module in method.modules().values() for p in module.parameters()]


CHECKS: Mapping[str, Callable[[Subject], Iterator[str]]] = {
    "hyper-parameters": _hyperparameters,
    "losses": _training,
    "predictions": _prediction,
    "loss terms": _terms,
    "effects of hyper-parameters": _effects,
    "use of streams": _streams,
    "repeated steps": _repeating,
    "teachers": _teachers,
    "adaptation": _adaptation,
    "shared training": _shared_training,
    "resuming from a checkpoint": _resuming,
    "saving and loading": _saving,
    "three classes and two structures": _other_classes,
    "originality": _originality,
}
"""Every check by its name; each yields one line for each fault."""
