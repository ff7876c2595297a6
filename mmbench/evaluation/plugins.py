"""Metrics of plugins on stored predictions: a value of each case."""

from __future__ import annotations

import numpy as np

from mmbench.errors import PluginError
from mmbench.plugins.extensions import metric_functions
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task


def mask_values(prediction: np.ndarray, truth: np.ndarray, policy: MetricPolicy) -> dict[str, float]:
    """Return the plugins' metrics of one case's mask of one structure, by name.

    Raises
    ------
    PluginError
        If one fails or gives no number; names it.
    """
    found = {}
    for name, function in metric_functions(Task.SEGMENTATION).items():
        try:
            found[name] = float(function(prediction, truth, policy))
        except Exception as error:
            raise _failed(name, error) from error
    return found


def class_values(
    probabilities: np.ndarray, labels: np.ndarray, policy: MetricPolicy
) -> dict[str, np.ndarray]:
    """Return the plugins' metrics of classified cases, by name: float64, shape (N,).

    Raises
    ------
    PluginError
        If one fails or gives no number for each case; names it.
    """
    found = {}
    for name, function in metric_functions(Task.CLASSIFICATION).items():
        try:
            values = np.asarray(function(probabilities, labels, policy), dtype=np.float64)
        except Exception as error:
            raise _failed(name, error) from error
        if values.shape != labels.shape:
            raise PluginError(
                f"metric {name!r} returns an array of shape {values.shape}, not a number for each of "
                f"{len(labels)} cases"
            )
        found[name] = values
    return found


def _failed(name: str, error: Exception) -> PluginError:
    return PluginError(f"metric {name!r} raises {type(error).__name__}: {' '.join(str(error).split())}")
