"""Metrics of plugins on stored predictions: a value of each case, or what each case adds to that of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmbench.errors import PluginError
from mmbench.plugins.extensions import metric_functions
from mmbench.protocol.metrics import METRICS
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
        except (Exception, SystemExit) as error:
            raise _failed(name, error) from error
    return found


def class_values(
    probabilities: np.ndarray, labels: np.ndarray, policy: MetricPolicy
) -> dict[str, np.ndarray]:
    """Return the plugins' metrics of classified cases, by name: float64, shape (N,).

    Of a metric of all cases together these are its pseudo-values, whose mean it is.

    Raises
    ------
    PluginError
        If one fails or gives no number for each case, or for all of them; names it.
    """
    found = {}
    for name, function in metric_functions(Task.CLASSIFICATION).items():

        def called(kept: np.ndarray, name: str = name, function: Callable[..., Any] = function) -> np.ndarray:
            try:
                return np.asarray(function(probabilities[kept], labels[kept], policy), dtype=np.float64)
            except (Exception, SystemExit) as error:
                raise _failed(name, error) from error

        shape = labels.shape if METRICS[name].per_case else ()
        values = called(np.arange(len(labels)))
        if values.shape != shape:
            asked = f"a number for each of {len(labels)} cases" if shape else "one number"
            raise PluginError(f"metric {name!r} returns an array of shape {values.shape}, not {asked}")
        found[name] = values if shape else pseudo_values(lambda kept: float(called(kept)), len(labels))
    return found


def pseudo_values(metric: Callable[[np.ndarray], float], count: int) -> np.ndarray:
    """Return what each case adds to a metric of all cases, by leaving it out: the jackknife.

    With t of all N cases and t_i without case i, the values are v_i = t + (N - 1) (mean of t_j - t_i): their
    mean is t, and their variance over N estimates that of t. For AUROC that is DeLong's. Resampled
    patients, intervals and tests then treat them as values of cases.

    Parameters
    ----------
    metric : callable
        Returns the metric of the cases at the places that it is given.
    count : int
        Number of cases, N.

    Returns
    -------
    ndarray
        float64, shape (N,); all NaN where the metric of all cases is undefined. A case without which it is
        undefined, as the only one of its class, has the value t.

    References
    ----------
    Efron and Stein 1981, doi:10.1214/aos/1176345462.
    """
    places = np.arange(count)
    whole = metric(places)
    without = np.array([metric(np.delete(places, place)) for place in places], dtype=np.float64)
    known = np.isfinite(without)
    if not np.isfinite(whole) or not known.any():
        return np.full(count, whole, dtype=np.float64)
    mean: float = without[known].mean()
    return whole + (count - 1) * (mean - np.where(known, without, mean))


def _failed(name: str, error: BaseException) -> PluginError:
    return PluginError(f"metric {name!r} raises {type(error).__name__}: {' '.join(str(error).split())}")
