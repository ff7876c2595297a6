"""Classification metrics against scikit-learn, brute force and hand-computed examples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.evaluation.classification import (
    case_classification,
    classification_summary,
    expected_calibration_error,
)
from mmbench.protocol.schema import MetricPolicy

POLICY = MetricPolicy()
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.6, 0.4, 0.9, 0.8, 0.3, 0.7, 0.5, 0.4])
cases = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=40).map(
    lambda rows: (np.array([a for a, _ in rows]), np.array([b / 20 for _, b in rows]))
)


def test_summary_by_hand():
    # Threshold 0.5, 0.5 itself positive: TP 4, FN 2, FP 1, TN 3.
    scores = classification_summary(LABELS, PROBABILITIES, POLICY)
    assert scores["accuracy"] == pytest.approx(7 / 10)
    assert scores["f1_normal"] == pytest.approx(6 / 9)
    assert scores["f1_pneumonia"] == pytest.approx(8 / 11)
    assert scores["sensitivity"] == pytest.approx(4 / 6)
    assert scores["specificity"] == pytest.approx(3 / 4)
    assert scores["balanced_accuracy"] == pytest.approx((4 / 6 + 3 / 4) / 2)
    assert scores["mcc"] == pytest.approx((4 * 3 - 1 * 2) / math.sqrt(5 * 6 * 4 * 5))
    assert scores["brier"] == pytest.approx(
        (0.01 + 0.04 + 0.36 + 0.16 + 0.01 + 0.04 + 0.49 + 0.09 + 0.25 + 0.36) / 10
    )
    # Pairs: 24; a pneumonia case below a normal one: .3 < .6, .3 < .4, .5 < .6, .4 < .6; one tie at .4.
    assert scores["auroc"] == pytest.approx((24 - 4 - 0.5) / 24)


def test_cases_at_the_threshold_are_positive():
    found = case_classification(LABELS, PROBABILITIES, POLICY)
    np.testing.assert_array_equal(found["predicted"], [0, 0, 1, 0, 1, 1, 0, 1, 1, 0])
    np.testing.assert_array_equal(found["correct"], found["predicted"] == LABELS)
    assert case_classification(LABELS, PROBABILITIES, MetricPolicy(class_threshold=0.51))["predicted"][8] == 0


@given(cases)
@settings(max_examples=150)
def test_summary_agrees_with_scikit_learn(case):
    from sklearn import metrics

    labels, probabilities = case
    scores = classification_summary(labels, probabilities, POLICY)
    predicted = (probabilities >= 0.5).astype(int)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert scores["brier"] == pytest.approx(np.mean((probabilities - labels) ** 2))
    for name, positive in (("f1_normal", 0), ("f1_pneumonia", 1)):
        expected = metrics.f1_score(labels, predicted, pos_label=positive, zero_division=np.nan)
        assert scores[name] == pytest.approx(expected, nan_ok=True)
    if len(np.unique(labels)) == 2:
        assert scores["balanced_accuracy"] == pytest.approx(
            metrics.balanced_accuracy_score(labels, predicted)
        )
        assert scores["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, predicted))
        assert scores["sensitivity"] == pytest.approx(metrics.recall_score(labels, predicted))
        assert scores["specificity"] == pytest.approx(metrics.recall_score(labels, predicted, pos_label=0))
        assert scores["auroc"] == pytest.approx(brute_auroc(labels, probabilities))
        assert scores["auprc"] == pytest.approx(brute_average_precision(labels, probabilities))


def brute_auroc(labels, probabilities):
    gaps = probabilities[labels == 1][:, None] - probabilities[labels == 0][None]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def brute_average_precision(labels, probabilities):
    total, recall = 0.0, 0.0
    for threshold in sorted(set(probabilities.tolist()), reverse=True):
        called = probabilities >= threshold
        found = (called & (labels == 1)).sum()
        total += (found / labels.sum() - recall) * found / called.sum()
        recall = found / labels.sum()
    return total


def test_a_single_class_leaves_ranking_undefined():
    for label, defined, undefined in ((1, "sensitivity", "specificity"), (0, "specificity", "sensitivity")):
        scores = classification_summary(np.full(4, label), np.array([0.1, 0.6, 0.7, 0.2]), POLICY)
        for name in ("auroc", "auprc", "mcc", "balanced_accuracy", undefined):
            assert math.isnan(scores[name]), name
        assert scores[defined] == scores["accuracy"] == 0.5


def test_a_constant_prediction_has_no_correlation():
    scores = classification_summary(LABELS, np.zeros(10), POLICY)
    assert scores["mcc"] == 0.0
    assert scores["auroc"] == 0.5
    assert scores["f1_pneumonia"] == 0.0
    assert scores["auprc"] == pytest.approx(0.6)


def test_no_cases_leave_everything_undefined():
    scores = classification_summary(np.array([], int), np.array([]), POLICY)
    assert len(scores) == 11
    assert all(math.isnan(value) for value in scores.values())


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([0, 1], [0.5], "do not match"),
        ([0, 2], [0.5, 0.5], "labels must be"),
        ([0, 1], [0.5, math.nan], "must lie in"),
        ([0, 1], [0.5, 1.1], "must lie in"),
    ],
)
def test_impossible_input_is_refused(labels, probabilities, words):
    with pytest.raises(ValueError, match=words):
        classification_summary(np.array(labels), np.array(probabilities), POLICY)


def test_calibration_error_by_hand():
    labels = np.array([0, 0, 1, 1, 1])
    probabilities = np.array([0.0, 0.05, 0.62, 0.65, 1.0])
    # Bins of 1/15: {0, .05}, {.62, .65}, {1}; gaps .025, .365, 0, weighted 2, 2, 1 of 5.
    assert expected_calibration_error(labels, probabilities) == pytest.approx((0.05 + 0.73 + 0) / 5)


def test_calibrated_probabilities_have_no_error():
    labels = np.tile([1, 0, 0, 0], 25)
    assert expected_calibration_error(labels, np.full(100, 0.25)) == pytest.approx(0.0)


@given(cases)
def test_calibration_error_agrees_with_a_loop_over_bins(case):
    labels, probabilities = case
    expected = 0.0
    for k in range(15):
        inside = (probabilities > k / 15) & (probabilities <= (k + 1) / 15)
        inside |= (probabilities == 0) & (k == 0)
        if inside.any():
            expected += inside.mean() * abs(probabilities[inside].mean() - labels[inside].mean())
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected, abs=1e-12)
