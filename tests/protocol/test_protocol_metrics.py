"""The catalogue lists exactly what is computed, and listing it is cheap."""

import subprocess
import sys

import numpy as np
import pytest

from mmbench.evaluation.classification import classification_summary
from mmbench.evaluation.multiclass import multiclass_summary
from mmbench.evaluation.segmentation import segmentation_scores, structure_scores
from mmbench.protocol.metrics import METRICS, metrics_of
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task


def names_of(task, classes=CLASS_NAMES, structures=STRUCTURE_NAMES):
    return [metric.name for metric in metrics_of(classes, structures).values() if metric.task is task]


def test_every_computed_metric_is_listed_in_order():
    computed = classification_summary(np.array([0, 1]), np.array([0.2, 0.9]), MetricPolicy())
    assert names_of(Task.CLASSIFICATION) == list(computed)
    mask = np.eye(8, dtype=bool)
    flags = ["empty_prediction", "empty_truth"]
    computed = segmentation_scores(mask, mask, MetricPolicy())
    assert names_of(Task.SEGMENTATION) + flags == list(computed)


def test_every_computed_metric_of_other_classes_and_structures_is_listed():
    classes, structures = ("normal", "lobar", "interstitial"), ("lungs", "heart")
    computed = multiclass_summary(np.array([0, 1, 2]), np.eye(3), classes)
    assert names_of(Task.CLASSIFICATION, classes) == list(computed)
    masks = np.ones((2, 8, 8), dtype=bool)
    computed = structure_scores(masks, masks, MetricPolicy(), structures)
    assert set(names_of(Task.SEGMENTATION, structures=structures)) == {
        name for name in computed if not name.startswith("empty_")
    }


def test_a_metric_of_one_class_or_structure_is_known_by_both_names():
    assert METRICS["dice:heart"].heading == "DS heart"
    assert METRICS["hd95:heart"].better == "lower"
    assert METRICS["f1:viral"].title == "F1 of viral"
    assert "dice:heart" in METRICS
    for name in ("dicee:heart", "accuracy:viral", "mcc:viral"):
        assert name not in METRICS
        with pytest.raises(KeyError):
            METRICS[name]


def test_headings_are_those_of_the_publication_and_distinct():
    heads = {name: METRICS[name].heading for name in METRICS}
    publication = {
        "accuracy": "Acc", "f1_normal": "F1-N", "f1_pneumonia": "F1-P",
        "dice": "DS", "jaccard": "JS", "hausdorff": "HD", "ssim": "SSIM", "precision": "P", "recall": "R",
    }  # fmt: skip
    assert publication.items() <= heads.items()
    assert len(set(heads.values())) == len(heads)


def test_directions_and_ranges():
    lower = {name for name, metric in METRICS.items() if metric.better == "lower"}
    assert lower == {"brier", "ece", "hausdorff", "hd95", "assd"}
    assert all(metric.lowest < metric.highest and metric.definition for metric in METRICS.values())


def test_listing_needs_neither_numpy_nor_torch():
    code = (
        "import sys, mmbench.protocol.metrics\n"
        "print([name for name in ('torch', 'numpy', 'scipy') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
