"""The decorator that makes a class a method, and the table of those found."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmbench.errors import PluginError, ProtocolError, suggestion
from mmbench.plugins.extensions import Extension
from mmbench.protocol.families import family_of
from mmbench.protocol.metrics import built_in_metrics
from mmbench.protocol.recipes import changed_training
from mmbench.protocol.runs import MethodSummary, TrainedAs
from mmbench.protocol.schema import MethodEntry, Training
from mmbench.protocol.search import search_space
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.provenance import distribution_of

MARK = "__mmbench_methods__"
CONTRACT = (
    *("tasks", "streams", "views", "seeded", "trivial", "Hyperparameters", "build", "start", "losses"),
    *("stages", "begin_stage", "adaptation", "trained_as", "begin_adaptation", "adapt"),
    *("published", "training", "family", "predict", "combine", "optimizer", "learning_rates", "after_step"),
    *("observe", "observed", "forget_observed", "log", "state", "load_state", "skip", "modules"),
)
"""What the engine uses of a method's class; :class:`mmbench.methods.Method` has all of it."""

FAMILY = re.compile(r"([a-z0-9]+(-[a-z0-9]+)*)?")
"""The names that families may have."""

MethodClass = TypeVar("MethodClass", bound=type)


def register_method(name: str, *, reference: str = "") -> Callable[[MethodClass], MethodClass]:
    """Declare a class to be the method called ``name``.

    Parameters
    ----------
    name : str
        What protocols call it.
    reference : str
        The publication it follows.

    Raises
    ------
    PluginError
        If the name is not text, or what is decorated is not a class with the methods' contract; names the
        file and the line.
    """
    if not isinstance(name, str):
        raise PluginError(f"{_caller()}: register_method needs a name; write @register_method('my_method')")

    def mark(cls: MethodClass) -> MethodClass:
        if not isinstance(cls, type):
            raise PluginError(
                f"{_caller()}: register_method({name!r}) was given a {type(cls).__name__}, not a class; "
                "decorate a class derived from mmbench.methods.Method"
            )
        missing = [key for key in CONTRACT if not hasattr(cls, key)]
        if missing:
            raise PluginError(
                f"{_caller()}: register_method({name!r}) was given {cls.__name__}, which has no "
                f"{missing[0]}; derive the class from mmbench.methods.Method"
            )
        setattr(cls, "name", name)  # noqa: B010
        setattr(cls, "reference", reference)  # noqa: B010
        vars(sys.modules[cls.__module__]).setdefault(MARK, []).append(cls)
        return cls

    return mark


def _caller() -> str:
    """Return the file and line that called the function which calls this."""
    frame = sys._getframe(2)  # noqa: SLF001  no public name
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@dataclass(frozen=True)
class Registered:
    """A method and the file it came from."""

    cls: Any
    origin: Path
    source_digest: str

    @property
    def title(self) -> str:
        """The first line of the class's docstring."""
        return (self.cls.__doc__ or "").strip().split("\n")[0]

    @property
    def distribution(self) -> str:
        """Name and version of the installed distribution that it comes from; empty for none of its own."""
        found = None if self.cls.__module__.startswith("mmbench") else distribution_of(self.cls)
        return " ".join(found) if found else ""


class Registry:
    """Every method found, by name.

    Attributes
    ----------
    broken : dict of str to str
        Why an installed plugin could not be loaded, by the name of its entry point.
    extensions : dict of (str, str) to Extension
        Metrics, datasets and backbones of plugins, by kind and name.
    """

    def __init__(self) -> None:
        self._methods: dict[str, Registered] = {}
        self.extensions: dict[tuple[str, str], Extension] = {}
        self.broken: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._methods))

    def add(self, cls: Any, origin: Path, source_digest: str) -> None:
        """Take in a class, after checking what it declares.

        Raises
        ------
        PluginError
            If its name is taken or its declarations contradict each other.
        """
        name = cls.name
        known = self._methods.get(name)
        if known is not None:
            raise PluginError(
                f"{origin}: method {name!r} is already defined in {known.origin}; rename one of them"
            )
        problem = _fault(cls)
        if problem:
            raise PluginError(f"{origin}: method {name!r}: {problem}")
        self._methods[name] = Registered(cls, origin, source_digest)

    def extend(self, found: Extension) -> None:
        """Take in a metric, a dataset or a backbone.

        Raises
        ------
        PluginError
            If its name is taken.
        """
        if found.kind == "metric" and found.name in built_in_metrics():
            raise PluginError(f"{found.origin}: metric {found.name!r} is built in; rename yours")
        known = self.extensions.setdefault((found.kind, found.name), found)
        if known is not found:
            raise PluginError(
                f"{found.origin}: {found.kind} {found.name!r} is already defined in {known.origin}; "
                "rename one of them"
            )

    def get(self, name: str) -> Registered:
        """Return a method by name.

        Raises
        ------
        ProtocolError
            If there is none; the message has the nearest name, and says what could not be loaded.
        """
        if name not in self._methods:
            hint = suggestion(name, self._methods)
            causes = "".join(f"; {cause}" for cause in self.broken.values())
            raise ProtocolError(f"unknown method {name!r}; {hint}; your own needs --plugin FILE{causes}")
        return self._methods[name]

    def resolve(self, entry: MethodEntry) -> MethodSummary:
        """Return a row's method with every hyper-parameter filled in.

        Raises
        ------
        ProtocolError
            If the method or a hyper-parameter is unknown, or a value is refused.
        """
        found = self.get(entry.method)
        model = found.cls.Hyperparameters
        try:
            values = model.model_validate(entry.hyperparameters)
        except ValidationError as error:
            first = error.errors()[0]
            at = ("hyperparameters", *first["loc"])
            if first["type"] == "extra_forbidden":
                hint = suggestion(str(first["loc"][-1]), model.model_fields)
                raise ProtocolError(f"{entry.method} has no such hyper-parameter; {hint}", at) from None
            raise ProtocolError(f"{first['msg']}, not {first['input']!r}", at) from None
        shared, base = None, found.cls.trained_as
        if base:
            known = self.get(base).cls.Hyperparameters
            same = {key: value for key, value in values if key in known.model_fields}
            shared = TrainedAs(
                method=base, hyperparameters=known.model_validate(same).model_dump(mode="json")
            )
        return MethodSummary(
            method=entry.method,
            tasks=frozenset(found.cls.tasks),
            streams=frozenset(found.cls.streams),
            seeded=found.cls.seeded,
            trivial=found.cls.trivial,
            hyperparameters=values.model_dump(mode="json"),
            search=search_space(found.cls.Hyperparameters),
            published=dict(found.cls.published),
            training=dict(found.cls.training),
            family=family_of(found.cls),
            trained_as=shared,
            transductive=found.cls.adaptation is not None,
            source_digest=found.source_digest,
            distribution=found.distribution,
        )

    def families(self) -> dict[str, list[str]]:
        """Return the names of the methods of each family, in alphabetical order."""
        found: dict[str, list[str]] = {}
        for name in self:
            found.setdefault(family_of(self._methods[name].cls), []).append(name)
        return found

    def listing(self) -> list[dict[str, Any]]:
        """Return one JSON-ready description per method, in alphabetical order."""
        return [
            {
                "name": name,
                "title": found.title,
                "family": family_of(found.cls),
                "tasks": sorted(found.cls.tasks),
                "streams": sorted(found.cls.streams),
                "trivial": found.cls.trivial,
                "hyperparameters": {
                    key: field.get_default(call_default_factory=True)
                    for key, field in found.cls.Hyperparameters.model_fields.items()
                },
                "search": search_space(found.cls.Hyperparameters),
                "reference": found.cls.reference,
                "origin": str(found.origin),
            }
            for name, found in sorted(self._methods.items())
        ]


def _fault(cls: Any) -> str | None:
    if not cls.tasks or not _holds(cls.tasks, Task):
        return "tasks must be a set of CLASSIFICATION and/or SEGMENTATION"
    if not isinstance(cls.Hyperparameters, type) or not issubclass(cls.Hyperparameters, BaseModel):
        return "Hyperparameters must be a class; derive it from mmbench.methods.Hyperparameters"
    if not _holds(cls.streams, Stream):
        return "streams must be a set of the streams of mmbench.methods"
    strange = sorted(stream for stream in cls.streams if stream.task not in cls.tasks)
    if strange:
        return f"consumes {strange[0]} but does not declare the task {strange[0].task}"
    if not isinstance(cls.views, Mapping) or not _holds(frozenset(cls.views), Stream):
        return "views must map streams to Views: {UNLABELED_CLASSIFICATION: Views(strong=1)}"
    for key in ("published", "training"):
        try:
            changed_training(Training(), getattr(cls, key))
        except (TypeError, ValueError, AttributeError) as error:
            return f"{key}: {' '.join(str(error).split())}"
    if not isinstance(cls.family, str) or not FAMILY.fullmatch(cls.family):
        return f"family must be lower-case words joined by hyphens, not {cls.family!r}"
    return None


def _holds(declared: Any, kind: type) -> bool:
    return isinstance(declared, (set, frozenset)) and all(isinstance(one, kind) for one in declared)
