"""What every metric is: its heading in tables, range, direction, unit, definition and source.

A metric of one class or structure is called by both names, ``f1:viral`` or ``dice:heart``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mmbench.files import digest_json
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task

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
    per_case : bool
        Of classification: whether it is the mean of a value of each case; a mask's metrics always are.
    digest : str
        Of a plugin's metric: sha256 of its source, so that what was scored is scored again when that changes.
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
    per_case: bool = False
    digest: str = ""


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

MACRO_F1 = _classification("f1", "F1", "macro F1", "mean over the classes of each class's F1", _REINKE)
"""The only metric over all classes that normal and pneumonia do not have."""

_OTHER_CLASSES = (
    _ALL[0],
    MACRO_F1,
    _classification(
        "balanced_accuracy",
        "BAcc",
        "balanced accuracy",
        "mean of the classes' sensitivities",
        "Brodersen et al. 2010, doi:10.1109/ICPR.2010.764",
    ),
    _classification(
        "auroc",
        "AUROC",
        "macro area under the ROC curve",
        "mean over the classes of each class's AUROC against the rest",
        "scikit-learn roc_auc_score(multi_class='ovr', average='macro')",
    ),
    _classification(
        "auprc",
        "AUPRC",
        "macro average precision",
        "mean over the classes of each class's average precision against the rest",
        "scikit-learn average_precision_score(average='macro')",
    ),
    _classification(
        "mcc",
        "MCC",
        "Matthews correlation",
        "correlation of predicted classes and labels, R_K; 0 for a constant prediction",
        "Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006",
        lowest=-1.0,
    ),
    _classification(
        "brier",
        "Brier",
        "Brier score",
        "half the mean over cases of the summed squared gaps between probabilities and label",
        "Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, halved to lie in [0, 1]",
        better="lower",
    ),
    _classification(
        "ece",
        "ECE",
        "classwise expected calibration error",
        "mean over the classes of the gap between a class's probability and its frequency over 15 bins",
        "Kull et al. 2019, arXiv:1910.12656",
        better="lower",
    ),
)
"""What is recorded over all classes where these are not normal and pneumonia."""

_ONE_CLASS = (
    _classification("f1", "F1", "F1", "2 TP / (2 TP + FP + FN), the class against the rest", _REINKE),
    _classification(
        "auroc",
        "AUROC",
        "area under the ROC curve",
        "probability that a case of the class ranks above one of the rest, ties one half",
        "Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
    ),
    _classification(
        "auprc",
        "AUPRC",
        "average precision",
        "average precision of the class's probability against the rest",
        "scikit-learn average_precision_score",
    ),
    _classification(
        "sensitivity", "Sens", "sensitivity", "share of the class's cases that are found", _REINKE
    ),
    _classification(
        "specificity",
        "Spec",
        "specificity",
        "share of the other cases that are not called the class",
        _REINKE,
    ),
)
"""What is recorded of each class then, of the class against the rest."""


class _Metrics(dict[str, Metric]):
    """Metrics by name; those of one class or structure, such as ``dice:heart``, are made when asked for."""

    def __missing__(self, name: str) -> Metric:
        base, colon, member = name.partition(":")
        found = _of_members().get(base) if colon else None
        if found is None:
            raise KeyError(name)
        return _of_one(found, member)

    def __contains__(self, name: object) -> bool:
        base, colon, _ = str(name).partition(":")
        return super().__contains__(name) or bool(colon and base in _of_members())


METRICS: dict[str, Metric] = _Metrics({metric.name: metric for metric in (*_ALL, MACRO_F1)})
"""Every metric by name, in the order of tables."""

_DECLARED: set[str] = set()
"""The metrics among them that are a plugin's."""


def declare(metrics: Iterable[Metric], *, beside: bool = False) -> None:
    """Take in metrics of plugins, in place of those that were declared before, or beside them."""
    if not beside:
        for name in _DECLARED:
            del METRICS[name]
        _DECLARED.clear()
    for metric in metrics:
        METRICS[metric.name] = metric
        _DECLARED.add(metric.name)


def built_in_metrics() -> set[str]:
    """Return the names of the metrics that are no plugin's."""
    return set(METRICS) - _DECLARED


def declared() -> list[Metric]:
    """Return the metrics of plugins."""
    return [METRICS[name] for name in METRICS if name in _DECLARED]


def declared_json() -> list[dict[str, Any]]:
    """Return the metrics of plugins as JSON values, for reports that are made where the plugin is not."""
    return [
        {**asdict(metric), "highest": metric.highest if math.isfinite(metric.highest) else None}
        for metric in declared()
    ]


def declare_stored(found: Iterable[Mapping[str, Any]]) -> None:
    """Take in metrics that :func:`declared_json` returned, unless they are known."""
    highest = {None: math.inf}
    declare(
        [
            Metric(
                **{**one, "task": Task(one["task"]), "highest": highest.get(one["highest"], one["highest"])}
            )
            for one in found
            if one["name"] not in METRICS
        ],
        beside=True,
    )


MAIN_METRIC = {Task.CLASSIFICATION: "auroc", Task.SEGMENTATION: "dice"}
"""The metric that stands for a task in status lines, figures and forecasts."""


def metrics_of(classes: Sequence[str], structures: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics that are recorded of these classes and structures, in the order of tables.

    Of several structures, the metrics of a mask are means over them, and recorded of each one as well.
    """
    masks = [metric for metric in METRICS.values() if metric.task is Task.SEGMENTATION]
    if tuple(classes) == CLASS_NAMES:
        usual = [metric for metric in METRICS.values() if metric.task is Task.CLASSIFICATION]
        found = [metric for metric in usual if metric is not MACRO_F1]
    else:
        own = (metric for metric in declared() if metric.task is Task.CLASSIFICATION)
        found = [*_OTHER_CLASSES, *(_of_one(metric, name) for metric in _ONE_CLASS for name in classes), *own]
    found += masks
    if len(structures) > 1:
        found += [_of_one(metric, name) for metric in masks for name in structures]
    return {metric.name: metric for metric in found}


def main_metrics(classes: Sequence[str], structures: Sequence[str]) -> list[str]:
    """Return the columns of the main table: accuracy, F1, AUROC, Dice, Hausdorff distance and SSIM."""
    f1 = ["f1_normal", "f1_pneumonia"]
    if tuple(classes) != CLASS_NAMES:
        f1 = ["f1", *(f"f1:{name}" for name in classes)]
    dice = [f"dice:{name}" for name in structures] if len(structures) > 1 else []
    return ["accuracy", *f1, "auroc", "dice", *dice, "hausdorff", "ssim"]


def compared_metrics(classes: Sequence[str], structures: Sequence[str]) -> list[str]:
    """Return the metrics that methods are compared by where a protocol does not say: HD95, too."""
    *others, last = main_metrics(classes, structures)
    return [*others, "hd95", last]


def metrics_version(
    task: Task, classes: Sequence[str] = CLASS_NAMES, structures: Sequence[str] = STRUCTURE_NAMES
) -> str:
    """Return a digest of a task's metrics: their names, definitions and versions.

    Part of the identity of scores: with a new metric, or a corrected one, predictions are scored again.
    """
    metrics = [metric for metric in metrics_of(classes, structures).values() if metric.task is task]
    own = [[m.name, m.definition, m.version, *([m.digest] if m.digest else [])] for m in metrics]
    return digest_json(own)[:16]


def _of_members() -> dict[str, Metric]:
    """Return the metrics that one class or one structure may have, by name."""
    masks = [metric for metric in METRICS.values() if metric.task is Task.SEGMENTATION]
    return {metric.name: metric for metric in (*_ONE_CLASS, *masks)}


def _of_one(metric: Metric, member: str) -> Metric:
    return replace(
        metric,
        name=f"{metric.name}:{member}",
        heading=f"{metric.heading} {member}",
        title=f"{metric.title} of {member}",
    )
