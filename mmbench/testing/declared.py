"""Checks of what a method says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch

from mmbench.methods.base import Method
from mmbench.plugins.discovery import discover
from mmbench.protocol.search import contains, search_space
from mmbench.testing.examples import example_problem
from mmbench.testing.subject import Subject
from mmbench.testing.trials import FEW, MANY, STEPS, Trial, trial


def hyperparameters(subject: Subject) -> Iterator[str]:
    """Check that they survive JSON and refuse unknown keys."""
    cls = subject.cls
    model = cls.Hyperparameters.model_validate(subject.values)
    if cls.Hyperparameters.model_validate(model.model_dump(mode="json")) != model:
        yield "Hyperparameters change when written as JSON and read back"
    if cls.Hyperparameters.model_config.get("extra") != "forbid":
        yield "Hyperparameters accept unknown keys; derive them from Method.Hyperparameters"


def search(subject: Subject) -> Iterator[str]:
    """Check that what hyper-parameters may be tuned over holds their defaults and fits their types."""
    fields = subject.cls.Hyperparameters.model_fields
    for name, space in search_space(subject.cls.Hyperparameters).items():
        default = fields[name].default
        if "low" in space and fields[name].annotation is not float:
            yield f"hyper-parameter {name!r} has a Range and is no float; give it a Choice"
        elif not contains(space, default):
            yield f"hyper-parameter {name!r} may not be tuned to its default {default!r}; widen its range"


def effects(subject: Subject) -> Iterator[str]:
    """Check that each hyper-parameter changes something."""
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
    for values, plain in subject.settings:
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
                        subject.settings.append((values, plain))
                        return
    for _, found in subject.variants(name, subject.values, MANY):
        yield found, subject.longer
        if found.differs(subject.longer):
            return


def shared_training(subject: Subject) -> Iterator[str]:
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


def originality(subject: Subject) -> Iterator[str]:
    """Check that a method is not another one by another name."""
    # One with settings of training of its own may differ by these alone, which are not tried here.
    if subject.cls.trivial or subject.cls.training:
        return
    for name, cls in _known().items():
        related = name in (subject.cls.name, subject.cls.trained_as) or cls.trained_as == subject.cls.name
        if related or cls.tasks != subject.cls.tasks or cls.trivial or cls.training:
            continue
        if subject.brief.predicts_otherwise(_known_trial(name, FEW)):
            continue
        # Methods that start alike may part later, as where averages have moved.
        if not subject.longer.predicts_otherwise(_known_trial(name, MANY)):
            yield f"after {MANY} steps of training it predicts exactly what {name} does; say what differs"


@lru_cache(maxsize=1)
def _known() -> dict[str, type[Method]]:
    registry = discover()
    return {name: registry.get(name).cls for name in registry}


@lru_cache(maxsize=64)
def _known_trial(name: str, steps: int) -> Trial:
    return trial(_known()[name], {}, steps=steps)
