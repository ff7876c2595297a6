"""Weighted metrics against scikit-learn, and against the scores of the evaluation."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from mmbench.evaluation.classification import CALIBRATION_BINS, classification_summary
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task
from mmbench.stats.blocks import Block
from mmbench.stats.resampling import patient_weights, replicates

CLASSIFICATION = [name for name, metric in METRICS.items() if metric.task is Task.CLASSIFICATION]
WEIGHTED = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p >= 0.5, sample_weight=w),
    "f1_normal": lambda y, p, w: sk.f1_score(y, p >= 0.5, pos_label=0, sample_weight=w),
    "f1_pneumonia": lambda y, p, w: sk.f1_score(y, p >= 0.5, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sk.balanced_accuracy_score(y, p >= 0.5, sample_weight=w),
    "auroc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "auprc": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
    "mcc": lambda y, p, w: sk.matthews_corrcoef(y, p >= 0.5, sample_weight=w),
    "sensitivity": lambda y, p, w: sk.recall_score(y, p >= 0.5, sample_weight=w),
    "specificity": lambda y, p, w: sk.recall_score(y, p >= 0.5, pos_label=0, sample_weight=w),
    "brier": lambda y, p, w: sk.brier_score_loss(y, p, sample_weight=w),
}


def block(rng, runs=3, cases=60, rounded=False, task="classification"):
    labels = (rng.random(cases) < 0.4).astype(float)
    probability = 1 / (1 + np.exp(-(2 * labels - 1 + rng.normal(0, 1.5, (runs, cases)))))
    if rounded:
        probability = np.round(probability, 1)
    scores = {"label": np.tile(labels, (runs, 1)), "probability": probability}
    if task == "segmentation":
        scores = {"dice": rng.random((runs, cases)), "hausdorff": rng.random((runs, cases))}
        scores["hausdorff"][0, :5] = np.nan
    names = np.array([f"case {number}" for number in range(cases)])
    patients = np.arange(cases) // 2
    return Block("here", task, True, pd.DataFrame(), names, patients, patients, scores)


def test_patients_are_drawn_whole_and_as_many_as_there_are(rng):
    patients = np.repeat(np.arange(20), 3)
    weights = patient_weights(patients, 500, rng)
    assert weights.shape == (500, 60)
    assert (weights.reshape(500, 20, 3).std(2) == 0).all()
    assert (weights.sum(1) == 60).all()
    # Each patient's count is binomial: variance 1 - 1 / 20.
    assert weights.reshape(500, 20, 3)[:, :, 0].var() == pytest.approx(0.95, rel=0.05)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("name", sorted(WEIGHTED))
def test_weighted_metrics_are_scikit_learns(rng, name, rounded):
    one = block(rng, rounded=rounded)
    weights = patient_weights(one.patients, 40, rng)
    found = replicates(one, name, weights, bins=CALIBRATION_BINS)
    labels = one.scores["label"][0]
    for run, probability in enumerate(one.scores["probability"]):
        assert found.observed[run] == pytest.approx(WEIGHTED[name](labels, probability, None))
        expected = [WEIGHTED[name](labels, probability, w) for w in weights.astype(float)]
        assert found.resampled[:, run] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("rounded", [False, True])
def test_unweighted_metrics_are_the_evaluations(rng, rounded):
    one = block(rng, rounded=rounded)
    weights = patient_weights(one.patients, 2, rng)
    for run, probability in enumerate(one.scores["probability"]):
        labels = one.scores["label"][0].astype(int)
        expected = classification_summary(labels, probability, MetricPolicy())
        for name in CLASSIFICATION:
            found = replicates(one, name, weights, bins=CALIBRATION_BINS).observed[run]
            assert found == pytest.approx(expected[name], abs=1e-12), name


def test_calibration_error_on_repeated_cases_is_the_weighted_one(rng):
    one = block(rng)
    weights = patient_weights(one.patients, 10, rng)
    with pytest.raises(ValueError, match="number of bins"):
        replicates(one, "ece", weights)
    found = replicates(one, "ece", weights, bins=CALIBRATION_BINS)
    for replicate, counts in enumerate(weights.astype(int)):
        repeated = np.repeat(np.arange(60), counts)
        labels = one.scores["label"][0][repeated].astype(int)
        probability = one.scores["probability"][1][repeated]
        expected = classification_summary(labels, probability, MetricPolicy())["ece"]
        assert found.resampled[replicate, 1] == pytest.approx(expected, abs=2e-6)


def test_means_of_cases_leave_out_the_undefined(rng):
    one = block(rng, task="segmentation")
    weights = patient_weights(one.patients, 30, rng)
    for name in ("dice", "hausdorff"):
        found = replicates(one, name, weights, bins=CALIBRATION_BINS)
        values = np.ma.masked_invalid(one.scores[name])
        assert found.observed == pytest.approx(values.mean(1).data)
        for run in range(3):
            expected = [np.ma.average(values[run], weights=w) for w in weights]
            assert found.resampled[:, run] == pytest.approx(expected)


def test_covariance_is_the_replicates_own_where_defined(rng):
    one = block(rng, task="segmentation")
    one.scores["dice"][2] = np.nan
    found = replicates(one, "dice", patient_weights(one.patients, 300, rng))
    assert found.covariance[:2, :2] == pytest.approx(np.cov(found.resampled[:, :2], rowvar=False))
    assert np.isnan(found.covariance[2]).all()


def test_one_class_alone_is_undefined(rng):
    one = block(rng)
    one.scores["label"][:] = 1.0
    weights = patient_weights(one.patients, 5, rng)
    for name in ("auroc", "auprc", "balanced_accuracy", "mcc"):
        assert np.isnan(replicates(one, name, weights, bins=CALIBRATION_BINS).observed).all(), name
