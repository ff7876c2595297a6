"""A method under test, with the trainings that several checks look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from mmbench.errors import PluginError, UserError
from mmbench.methods.base import Method
from mmbench.testing.trials import ADAPTING, FEW, MANY, STEPS, Trial, trial


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

    @cached_property
    def base(self) -> Trial:
        """A training with the method's own hyper-parameters."""
        return trial(self.cls, self.values)

    @cached_property
    def brief(self) -> Trial:
        """The same with fewer steps, for what shows at once."""
        return trial(self.cls, self.values, steps=FEW)

    @cached_property
    def longer(self) -> Trial:
        """The same with more steps, for what only shows where predictions have become sure."""
        return trial(self.cls, self.values, steps=MANY)

    @cached_property
    def lively(self) -> tuple[dict[str, Any], Trial]:
        """The hyper-parameters, at most one of them changed, with which most of the method does something.

        A loss of confident predictions is zero in a few steps from random weights, and adapting to them
        changes nothing, unless the threshold is lowered.
        """
        best, every = (self.values, self.base), self._parts(self.base)
        for name in self.cls.Hyperparameters.model_fields:
            for other, found in self.variants(name, self.values):
                if every <= best[1].alive:
                    return best
                every |= self._parts(found)
                if len(found.alive) > len(best[1].alive):
                    best = (other, found)
        return best

    @cached_property
    def settings(self) -> list[tuple[dict[str, Any], Trial]]:
        """Hyper-parameters with which others do something; those that are found later join them."""
        return [self.lively, (self.values, self.base)]

    def _parts(self, found: Trial) -> set[str]:
        """Return what could do something in a training: its loss terms, and adapting."""
        return set().union(*found.terms) | ({ADAPTING} if self.cls.adaptation is not None else set())

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
