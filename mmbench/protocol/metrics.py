"""What every metric is: its heading in tables, range, direction, unit, definition and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmbench.files import digest_json
from mmbench.protocol.vocabulary import Task

PIXELS = "units of evaluation.spacing (pixels of the protocol's image size by default)"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        As in records.
    heading : str
        In tables.
    title : str
        In words.
    task : Task
        What it scores.
    lowest, highest : float
        The ends of its range; ``highest`` is infinite where an image's diagonal is the only bound.
    better : {'higher', 'lower'}
        Which end is good.
    unit : str
        Empty for a pure number.
    definition : str
        The formula, with its conventions.
    source : str
        Where the definition is from.
    version : int
        Raised when a fix changes the numbers that the code gives, so that what was scored is scored again.
    """

    name: str
    heading: str
    title: str
    task: Task
    lowest: float
    highest: float
    better: Literal["higher", "lower"]
    unit: str
    definition: str
    source: str
    version: int = 1


def _classification(
    name: str,
    heading: str,
    title: str,
    definition: str,
    source: str,
    *,
    lowest: float = 0.0,
    better: Literal["higher", "lower"] = "higher",
) -> Metric:
    return Metric(name, heading, title, Task.CLASSIFICATION, lowest, 1.0, better, "", definition, source)


def _overlap(
    name: str, heading: str, title: str, definition: str, source: str, lowest: float = 0.0
) -> Metric:
    return Metric(name, heading, title, Task.SEGMENTATION, lowest, 1.0, "higher", "", definition, source)


def _distance(name: str, heading: str, title: str, definition: str, source: str) -> Metric:
    infinity = float("inf")
    return Metric(name, heading, title, Task.SEGMENTATION, 0.0, infinity, "lower", PIXELS, definition, source)


_REINKE = "Maier-Hein et al. 2024, Metrics reloaded, doi:10.1038/s41592-023-02151-z"

_ALL = (
    _classification(
        "accuracy", "Acc", "accuracy", "share of cases whose predicted class is their label", _REINKE
    ),
    _classification(
        "f1_normal",
        "F1-N",
        "F1 of normal",
        "2 TN / (2 TN + FP + FN): F1 with normal as the positive",
        _REINKE,
    ),
    _classification("f1_pneumonia", "F1-P", "F1 of pneumonia", "2 TP / (2 TP + FP + FN)", _REINKE),
    _classification(
        "balanced_accuracy",
        "BAcc",
        "balanced accuracy",
        "mean of sensitivity and specificity",
        "Brodersen et al. 2010, doi:10.1109/ICPR.2010.764",
    ),
    _classification(
        "auroc",
        "AUROC",
        "area under the ROC curve",
        "probability that a case of pneumonia ranks above a normal one, ties one half",
        "Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
    ),
    _classification(
        "auprc",
        "AUPRC",
        "average precision",
        "sum over thresholds of precision times the gain in recall, without interpolation",
        "scikit-learn average_precision_score",
    ),
    _classification(
        "mcc",
        "MCC",
        "Matthews correlation",
        "correlation of predicted class and label; 0 for a constant prediction",
        "Matthews 1975, doi:10.1016/0005-2795(75)90109-9",
        lowest=-1.0,
    ),
    _classification("sensitivity", "Sens", "sensitivity", "TP / (TP + FN)", _REINKE),
    _classification("specificity", "Spec", "specificity", "TN / (TN + FP)", _REINKE),
    _classification(
        "brier",
        "Brier",
        "Brier score",
        "mean squared gap between the probability of pneumonia and the label",
        "Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
        better="lower",
    ),
    _classification(
        "ece",
        "ECE",
        "expected calibration error",
        "mean gap between the probability of pneumonia and its frequency over 15 equal-width bins",
        "Guo et al. 2017, arXiv:1706.04599, for the positive class",
        better="lower",
    ),
    _overlap(
        "dice",
        "DS",
        "Dice",
        "2 |P and T| / (|P| + |T|); 1 when both are empty",
        "Dice 1945, doi:10.2307/1932409",
    ),
    _overlap(
        "jaccard",
        "JS",
        "Jaccard",
        "|P and T| / |P or T|; 1 when both are empty",
        "Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x",
    ),
    _overlap(
        "precision", "P", "precision", "|P and T| / |P|; 0 when only P is empty, 1 when both are", _REINKE
    ),
    _overlap("recall", "R", "recall", "|P and T| / |T|; 0 when only T is empty, 1 when both are", _REINKE),
    _distance(
        "hausdorff",
        "HD",
        "Hausdorff distance",
        "largest distance from a surface pixel of one mask to the other's surface",
        "Huttenlocher et al. 1993, doi:10.1109/34.232073; surfaces as in MONAI",
    ),
    _distance(
        "hd95",
        "HD95",
        "95 % Hausdorff distance",
        "larger of the two directed 95th percentiles",
        "MONAI compute_hausdorff_distance(percentile=95)",
    ),
    _distance(
        "assd",
        "ASSD",
        "average symmetric surface distance",
        "mean distance to the other surface over the surface pixels of both masks pooled",
        "MONAI compute_average_surface_distance(symmetric=True)",
    ),
    _overlap(
        "nsd",
        "NSD",
        "normalised surface distance",
        "share of both surfaces' pixels within evaluation.nsd_tolerance of the other surface",
        "Nikolov et al. 2021, doi:10.2196/26151; counted as in MONAI SurfaceDiceMetric",
    ),
    _overlap(
        "ssim",
        "SSIM",
        "structural similarity of the masks",
        "mean over uniform 7 x 7 windows inside the image, K1 0.01, K2 0.03, sample covariance",
        "Wang et al. 2004, doi:10.1109/TIP.2003.819861; scikit-image's defaults",
        lowest=-1.0,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by name, in the order of tables."""

MAIN_METRIC = {Task.CLASSIFICATION: "auroc", Task.SEGMENTATION: "dice"}
"""The metric that stands for a task in status lines, figures and forecasts."""


def metrics_version(task: Task) -> str:
    """Return a digest of a task's metrics: their names, definitions and versions.

    Part of the identity of scores: with a new metric, or a corrected one, predictions are scored again.
    """
    metrics = [metric for metric in METRICS.values() if metric.task is task]
    return digest_json([[metric.name, metric.definition, metric.version] for metric in metrics])[:16]
