"""From predictions and ground truth to a row per case and a domain's summary, without torch."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mmbench.evaluation.scores import score_classification, score_segmentation
from mmbench.protocol.schema import MetricPolicy
from tests.evaluation.by_monai import monai_scores

RANDOM = np.random.default_rng(0)


def cases(count, **columns):
    # The index of a part's rows is not 0..N-1.
    index = np.arange(count) * 3 + 5
    named = {"case_id": [f"c{n}" for n in range(count)], "patient_id": [f"p{n // 2}" for n in range(count)]}
    return pd.DataFrame({**named, **columns}, index=index)


def test_scoring_needs_no_torch():
    code = "import sys, mmbench.evaluation.scores; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classes_agree_with_scikit_learn():
    labels = RANDOM.integers(0, 2, 40)
    probabilities = RANDOM.random(40).astype(np.float32)
    table = cases(40, label=pd.array(labels, dtype="Int8"))
    both = np.stack([1 - probabilities, probabilities], 1)
    found = score_classification(table, both, MetricPolicy(class_threshold=0.3))
    predicted = probabilities.astype(float) >= 0.3
    assert list(found.cases) == ["case_id", "patient_id", "label", "probability", "predicted", "correct"]
    assert found.cases["case_id"].tolist() == table["case_id"].tolist()
    np.testing.assert_array_equal(found.cases["probability"], probabilities.astype(np.float64))
    np.testing.assert_array_equal(found.cases["predicted"], predicted)
    np.testing.assert_array_equal(found.cases["correct"], predicted == labels)
    assert found.metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.metrics["auroc"] == pytest.approx(roc_auc_score(labels, probabilities))


def test_impossible_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        score_classification(
            cases(2, label=[0, 1]), np.array([[0.5, 0.5], [0.5, np.nan]], np.float32), MetricPolicy()
        )


def test_masks_agree_with_monai_case_by_case():
    masks, truth = RANDOM.random((2, 5, 1, 16, 16)) > 0.6
    policy = MetricPolicy()
    found = score_segmentation(cases(5), masks, truth, policy)
    assert found.cases["case_id"].tolist() == [f"c{n}" for n in range(5)]
    for place in range(5):
        for name, value in monai_scores(masks[place, 0], truth[place, 0], policy).items():
            assert found.cases[name][place] == pytest.approx(value, abs=1e-6), name
    for name in ("dice", "hd95", "ssim"):
        assert found.metrics[name] == pytest.approx(found.cases[name].mean())


def test_a_mean_leaves_out_undefined_cases_and_flags_are_counted():
    full, empty = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    masks, truth = np.stack([full, empty, empty, empty]), np.stack([full, full, full, empty])
    masks, truth = masks[:, None], truth[:, None]
    found = score_segmentation(cases(4), masks, truth, MetricPolicy(empty_distance="nan"))
    assert found.cases["hausdorff"].isna().tolist() == [False, True, True, False]
    assert found.metrics["hausdorff"] == 0
    assert found.metrics["dice"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert (found.metrics["empty_prediction"], found.metrics["empty_truth"]) == (3, 1)
    alone = score_segmentation(cases(1), masks[1:2], truth[1:2], MetricPolicy(empty_distance="nan"))
    assert math.isnan(alone.metrics["hausdorff"])


def test_as_many_masks_as_truths():
    masks = np.zeros((2, 1, 4, 4), bool)
    with pytest.raises(ValueError, match="shorter"):
        score_segmentation(cases(2), masks, masks[:1], MetricPolicy())
