"""The decorators that make a function a metric, a class a dataset's reader or a network a backbone.

What a plugin declares is noted in its module; :func:`mmbench.plugins.discovery.discover` takes it from there
and :func:`install` hands it to the rooms that use it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from mmbench.errors import PluginError
from mmbench.files import digest_json
from mmbench.protocol import metrics
from mmbench.protocol.metrics import Metric
from mmbench.protocol.vocabulary import Task
from mmbench.provenance import files_digest

MARK = "__mmbench_extensions__"
NAME = r"[a-z][a-z0-9_]*"
Kind = Literal["metric", "dataset", "backbone"]
Declared = TypeVar("Declared", bound=Callable[..., Any])


@dataclass(frozen=True)
class Extension:
    """Something other than a method that a plugin declares.

    Attributes
    ----------
    kind : {'metric', 'dataset', 'backbone'}
        What it is.
    name : str
        What protocols call it.
    value : object
        The function, the reader, or what builds the network.
    metric : Metric or None
        Of a metric: what tables say of it.
    origin : Path
        The file that it came from.
    source_digest : str
        sha256 of that file and of what it imports beside it.
    """

    kind: Kind
    name: str
    value: Any
    metric: Metric | None = None
    origin: Path = Path()
    source_digest: str = ""


def register_metric(
    name: str,
    *,
    task: Task,
    heading: str,
    title: str,
    definition: str,
    source: str = "",
    better: Literal["higher", "lower"] = "higher",
    lowest: float = 0.0,
    highest: float = 1.0,
    unit: str = "",
    per_case: bool = True,
) -> Callable[[Declared], Declared]:
    """Declare a function to be a metric: a value of each case, whose mean is reported, or one of all cases.

    Of segmentation, the function is called for each case and structure with ``(prediction, truth, policy)``:
    two bool arrays of shape (H, W) and the :class:`~mmbench.protocol.settings.MetricPolicy`; it returns a
    number. Of classification, it is called with ``(probabilities, labels, policy)``: float64 of shape
    (N, K) and int64 of shape (N,); it returns N numbers, or, with ``per_case=False``, one. A case whose
    value is NaN is left out of the mean.

    Parameters
    ----------
    name : str
        What protocols and records call it.
    task : Task
        What it scores.
    heading, title : str
        In tables, and in words.
    definition, source : str
        The formula with its conventions, and where it is from.
    better : {'higher', 'lower'}
        Which end is good.
    lowest, highest : float
        The ends of its range; an infinite ``highest`` makes it a distance, whose differences are judged in
        terms of the image's diagonal.
    unit : str
        Empty for a pure number.
    per_case : bool
        False for a metric that only all cases together have, such as a rank correlation. It is called once
        more without each case in turn (:func:`mmbench.evaluation.plugins.pseudo_values`), and should change
        little with one case.

    Raises
    ------
    PluginError
        If the name does not fit, or a metric of masks is not to be of each case.
    """
    _check_name("metric", name)
    if not per_case and Task(task) is Task.SEGMENTATION:
        raise PluginError(f"metric {name!r}: a metric of masks has a value of each case; remove per_case")
    found = Metric(
        name, heading, title, Task(task), lowest, highest, better, unit, definition, source, per_case=per_case
    )

    def mark(function: Declared) -> Declared:
        _note(function, Extension("metric", name, function, found))
        return function

    return mark


def register_dataset(reader: Declared) -> Declared:
    """Declare a subclass of :class:`mmbench.data.readers.Reader` to be a dataset; its ``info`` names it.

    Raises
    ------
    PluginError
        If it has no ``info`` or its name does not fit.
    """
    info = getattr(reader, "info", None)
    if not isinstance(reader, type) or info is None:
        raise PluginError(
            f"register_dataset was given {reader!r}; decorate a class derived from "
            "mmbench.data.readers.Reader that has an info"
        )
    _check_name("dataset", info.name)
    _note(reader, Extension("dataset", info.name, reader))
    return reader


def register_backbone(name: str) -> Callable[[Declared], Declared]:
    """Declare what builds a backbone, a :class:`mmbench.networks.Body`: its class, or a function.

    It is called with ``(backbone, classify, segment, num_classes, num_structures, bridge_channels,
    image_size)``, as :class:`mmbench.networks.smp.SMPNetwork` is.

    Raises
    ------
    PluginError
        If the name does not fit.
    """
    _check_name("backbone", name)

    def mark(builder: Declared) -> Declared:
        _note(builder, Extension("backbone", name, builder))
        return builder

    return mark


def extensions_of(module: Any) -> list[Extension]:
    """Return what a plugin's module declares."""
    origin = Path(module.__file__ or module.__name__)
    digest = files_digest(module)
    return [replace(found, origin=origin, source_digest=digest) for found in getattr(module, MARK, [])]


def install(found: Iterable[Extension]) -> None:
    """Hand what plugins declare to the rooms that use it, in place of what was handed there before."""
    by_kind: dict[Kind, list[Extension]] = {"metric": [], "dataset": [], "backbone": []}
    for one in found:
        by_kind[one.kind].append(one)
    metrics.declare(replace(one.metric, digest=one.source_digest) for one in by_kind["metric"] if one.metric)
    _FUNCTIONS.clear()
    _FUNCTIONS.update({one.name: one.value for one in by_kind["metric"]})
    _BACKBONES.clear()
    _BACKBONES.update({one.name: one.source_digest for one in by_kind["backbone"]})
    # These rooms import pandas and torch, which listing methods does not wait for.
    if by_kind["dataset"] or "mmbench.data.readers" in sys.modules:
        from mmbench.data import readers

        readers.install({one.name: one.value() for one in by_kind["dataset"]})
    if by_kind["backbone"] or "mmbench.networks.build" in sys.modules:
        from mmbench.networks import build

        build.install({one.name: one.value for one in by_kind["backbone"]})


def metric_functions(task: Task) -> dict[str, Callable[..., Any]]:
    """Return the installed metrics' functions of a task, by name."""
    return {name: one for name, one in _FUNCTIONS.items() if metrics.METRICS[name].task is task}


def source_of(method_digest: str, backbone: str) -> str:
    """Return a digest of the sources of a method and, where it is a plugin's, of its backbone."""
    own = _BACKBONES.get(backbone)
    return method_digest if own is None else digest_json([method_digest, own])


_FUNCTIONS: dict[str, Callable[..., Any]] = {}
_BACKBONES: dict[str, str] = {}


def _note(declared: Any, found: Extension) -> None:
    vars(sys.modules[declared.__module__]).setdefault(MARK, []).append(found)


def _check_name(kind: str, name: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise PluginError(
            f"{name!r} cannot be a {kind}'s name; use lower-case letters, digits and _, a letter first"
        )
