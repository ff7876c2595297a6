"""What a plugin's metric must keep to, checked on made-up predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mmbench.plugins.extensions import Extension
from mmbench.protocol.metrics import Metric
from mmbench.protocol.settings import MetricPolicy
from mmbench.protocol.vocabulary import Task

SIDE = 24
CASES = 40
CLASSES = 3
ROUNDING = 1e-9


def metric_faults(found: Extension) -> Iterator[str]:
    """Yield how a metric breaks its contract: range, shape, direction, repeatability, what it may change."""
    metric, function = found.metric, found.value
    assert metric is not None
    if metric.lowest >= metric.highest:
        yield f"its range is empty: {metric.lowest:g} to {metric.highest:g}"
    if not (metric.heading and metric.title and metric.definition):
        yield "heading, title and definition must say what it is"
    check = _of_masks if metric.task is Task.SEGMENTATION else _of_classes
    yield from check(metric, function, MetricPolicy())


def _of_masks(metric: Metric, function: Callable[..., Any], policy: MetricPolicy) -> Iterator[str]:
    random = np.random.default_rng(0)
    truth = _disc(SIDE / 2, SIDE / 4)
    empty, other = np.zeros_like(truth), random.random(truth.shape) < 0.5
    near = _disc(SIDE / 2 + 1, SIDE / 4)
    pairs = {
        "equal masks": (truth, truth),
        "similar masks": (near, truth),
        "random pixels": (other, truth),
        "an empty prediction": (empty, truth),
        "an empty truth": (truth, empty),
        "two empty masks": (empty, empty),
    }
    values = {}
    for what, (prediction, real) in pairs.items():
        before = prediction.copy(), real.copy()
        value = function(prediction, real, policy)
        if not np.isscalar(value) and np.ndim(value) != 0:
            yield f"of {what} it returns an array of shape {np.shape(value)}, not a number"
            return
        values[what] = float(value)
        yield from _in_range(metric, values[what], what)
        if not (np.array_equal(before[0], prediction) and np.array_equal(before[1], real)):
            yield f"of {what} it changes the masks that it is given"
        if float(function(prediction, real, policy)) != values[what] and not np.isnan(values[what]):
            yield f"of {what} it returns another number when it is called again"
    yield from _direction(metric, values["equal masks"], values["random pixels"])


def _of_classes(metric: Metric, function: Callable[..., Any], policy: MetricPolicy) -> Iterator[str]:
    random = np.random.default_rng(0)
    labels = np.arange(CASES) % CLASSES
    right = np.eye(CLASSES)[labels]
    settings = {
        "right and sure predictions": right,
        "random predictions": random.dirichlet(np.ones(CLASSES), CASES),
        "wrong and sure predictions": np.roll(right, 1, axis=1),
    }
    values = {}
    for what, probabilities in settings.items():
        before = probabilities.copy()
        found = np.asarray(function(probabilities, labels, policy))
        if found.shape != (labels.shape if metric.per_case else ()):
            asked = "a number for each case" if metric.per_case else "one number"
            yield f"of {what} it returns an array of shape {found.shape}, not {asked}"
            return
        for value in found.ravel():
            yield from _in_range(metric, float(value), what)
        if not np.array_equal(before, probabilities):
            yield f"of {what} it changes the probabilities that it is given"
        if not np.array_equal(found, np.asarray(function(probabilities, labels, policy)), equal_nan=True):
            yield f"of {what} it returns other numbers when it is called again"
        order = random.permutation(CASES)
        expected = found[order] if metric.per_case else found
        if not np.allclose(expected, function(probabilities[order], labels[order], policy), equal_nan=True):
            yield f"of {what} a value depends on the cases' order"
        values[what] = float(np.nanmean(found))
    yield from _direction(metric, values["right and sure predictions"], values["wrong and sure predictions"])


def _in_range(metric: Metric, value: float, what: str) -> Iterator[str]:
    if value < metric.lowest - ROUNDING or value > metric.highest + ROUNDING:
        yield f"of {what} it is {value:g}, outside {metric.lowest:g} to {metric.highest:g}"


def _direction(metric: Metric, best: float, worst: float) -> Iterator[str]:
    wrong = best < worst if metric.better == "higher" else best > worst
    if wrong:
        yield (
            f"{metric.better} is declared to be better, but a right prediction has {best:g} and a wrong one "
            f"{worst:g}"
        )


def _disc(centre: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside: np.ndarray = (rows - SIDE / 2) ** 2 + (columns - centre) ** 2 <= radius**2
    return inside
