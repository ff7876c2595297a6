"""Weighted metrics against scikit-learn, and against the scores of the evaluation."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from mmbench.evaluation.classification import CALIBRATION_BINS, classification_summary
from mmbench.evaluation.multiclass import multiclass_summary
from mmbench.protocol.metrics import metrics_of
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task
from mmbench.stats.blocks import Block, effective_patients
from mmbench.stats.resampling import patient_weights, replicates

CLASSES = ("normal", "lobar", "interstitial")


def names_of(classes):
    found = metrics_of(classes, STRUCTURE_NAMES).values()
    return [metric.name for metric in found if metric.task is Task.CLASSIFICATION]


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
        for name in names_of(CLASS_NAMES):
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


def several(rng, runs=3, cases=60):
    labels = rng.integers(0, 3, cases)
    every = rng.dirichlet(np.ones(3), (runs, cases)) + 0.5 * np.eye(3)[labels]
    every /= every.sum(2, keepdims=True)
    scores = {f"probability:{name}": every[:, :, place] for place, name in enumerate(CLASSES)}
    scores |= {"label": np.tile(labels, (runs, 1)).astype(float), "predicted": every.argmax(2).astype(float)}
    patients = np.arange(cases) // 2
    return Block("here", "classification", True, pd.DataFrame(), patients, patients, patients, scores), every


@pytest.mark.parametrize("name", names_of(CLASSES))
def test_metrics_of_any_classes_on_repeated_cases_are_the_evaluations(rng, name):
    one, every = several(rng)
    labels = one.scores["label"][0].astype(int)
    weights = patient_weights(one.patients, 10, rng)
    found = replicates(one, name, weights, bins=CALIBRATION_BINS)
    for run in range(3):
        expected = multiclass_summary(labels, every[run], CLASSES)[name]
        assert found.observed[run] == pytest.approx(expected, abs=1e-12)
        for replicate, counts in enumerate(weights.astype(int)):
            rows = np.repeat(np.arange(60), counts)
            again = multiclass_summary(labels[rows], every[run][rows], CLASSES)[name]
            assert found.resampled[replicate, run] == pytest.approx(again, abs=2e-6)


def test_a_constant_prediction_of_any_classes_has_no_correlation(rng):
    one, _ = several(rng)
    one.scores["predicted"][:] = 1
    weights = patient_weights(one.patients, 4, rng)
    assert (replicates(one, "mcc", weights).observed == 0).all()
    one.scores["label"][:] = 0
    assert np.isnan(replicates(one, "mcc", weights).observed).all()


def test_effective_patients_are_those_of_the_rarest_class():
    patients, labels = np.arange(9), np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    assert effective_patients(patients, labels) == 2
    assert effective_patients(patients, np.where(labels == 2, 3, labels)) == 0
