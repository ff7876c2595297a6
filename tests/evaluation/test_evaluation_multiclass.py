"""Metrics of any number of classes agree with scikit-learn; those of structures with each mask by itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from mmbench.evaluation.classification import classification_summary
from mmbench.evaluation.multiclass import case_classes, multiclass_summary
from mmbench.evaluation.scores import score_classification, score_segmentation
from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy

CLASSES = ("normal", "bacterial", "viral", "tuberculosis")


def made(count=200, classes=4, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    probabilities = random.dirichlet(np.ones(classes), count) + 0.4 * np.eye(classes)[labels]
    return labels, probabilities / probabilities.sum(1, keepdims=True)


def test_every_metric_agrees_with_scikit_learn():
    labels, probabilities = made()
    found = multiclass_summary(labels, probabilities, CLASSES)
    predicted, truth = probabilities.argmax(1), np.eye(4)[labels]
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "f1": sk.f1_score(labels, predicted, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "auroc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "auprc": sk.average_precision_score(truth, probabilities, average="macro"),
        "mcc": sk.matthews_corrcoef(labels, predicted),
        "brier": sk.brier_score_loss(labels, probabilities, scale_by_half=True),
    }
    for place, name in enumerate(CLASSES):
        own = labels == place
        expected |= {
            f"f1:{name}": sk.f1_score(labels, predicted, average=None)[place],
            f"auroc:{name}": sk.roc_auc_score(own, probabilities[:, place]),
            f"auprc:{name}": sk.average_precision_score(own, probabilities[:, place]),
            f"sensitivity:{name}": sk.recall_score(own, predicted == place),
            f"specificity:{name}": sk.recall_score(~own, predicted != place),
        }
    assert expected.keys() | {"ece"} == found.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_the_calibration_error_by_hand():
    # One bin each: class 0 says .9 twice and is right once, gap .4 over two cases; the others mirror it.
    labels, probabilities = np.array([0, 1]), np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]])
    found = multiclass_summary(labels, probabilities, ("a", "b", "c"))
    assert found["ece"] == pytest.approx((0.4 + 0.4 + 0.0) / 3)


def test_of_two_classes_the_means_are_the_binary_metrics():
    labels, probabilities = made(classes=2)
    several = multiclass_summary(labels, probabilities, ("no", "yes"))
    binary = classification_summary(labels, probabilities[:, 1], MetricPolicy())
    same = {"accuracy", "balanced_accuracy", "auroc", "mcc", "brier"}
    for name in same:
        assert several[name] == pytest.approx(binary[name], abs=1e-12), name
    for name in ("sensitivity", "specificity", "auroc", "auprc"):
        assert several[f"{name}:yes"] == pytest.approx(binary[name], abs=1e-12)
    assert several["f1:no"] == pytest.approx(binary["f1_normal"])
    assert several["f1:yes"] == pytest.approx(binary["f1_pneumonia"])


def test_a_class_that_does_not_occur_leaves_its_metrics_and_the_means_undefined():
    labels, probabilities = made(classes=3)
    labels[labels == 2] = 1
    found = multiclass_summary(labels, probabilities, ("a", "b", "c"))
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {
        "auroc", "auprc", "balanced_accuracy", "auroc:c", "auprc:c", "sensitivity:c",
    }  # fmt: skip


def test_a_constant_prediction_and_a_single_class():
    labels, constant = np.array([0, 1, 2]), np.tile([0.5, 0.3, 0.2], (3, 1))
    assert multiclass_summary(labels, constant, ("a", "b", "c"))["mcc"] == 0
    assert np.isnan(multiclass_summary(np.zeros(3, int), constant, ("a", "b", "c"))["mcc"])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 3], np.full((2, 3), 1 / 3), "labels must lie between 0 and 2"),
        ([0, -1], np.full((2, 3), 1 / 3), "labels must lie between 0 and 2"),
        ([0, 1], np.array([[1, 0, 0], [np.nan, 0, 0]]), r"must lie in \[0, 1\]"),
        ([0], np.full((2, 3), 1 / 3), "do not match"),
    ],
)
def test_impossible_values_are_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        case_classes(np.array(labels), probabilities)


def test_cases_carry_every_probability():
    labels, probabilities = made()
    table = pd.DataFrame(
        {"case_id": [f"c{n}" for n in range(200)], "patient_id": "p", "label": pd.array(labels, dtype="Int8")}
    )
    found = score_classification(table, probabilities.astype(np.float32), MetricPolicy(), CLASSES)
    columns = [f"probability:{name}" for name in CLASSES]
    assert list(found.cases) == ["case_id", "patient_id", "label", *columns, "predicted", "correct"]
    np.testing.assert_array_equal(found.cases[columns].to_numpy(), probabilities.astype(np.float32))
    assert found.metrics["accuracy"] == pytest.approx(found.cases["correct"].mean())


def test_structures_are_scored_one_by_one_and_averaged():
    masks, truth = np.random.default_rng(0).random((2, 5, 2, 16, 16)) > 0.6
    masks[1, 1] = False
    policy = MetricPolicy()
    table = pd.DataFrame({"case_id": list("abcde"), "patient_id": list("abcde")})
    found = score_segmentation(table, masks, truth, policy, structures=("lungs", "heart")).cases
    for place in range(5):
        lungs, heart = (segmentation_scores(masks[place, s], truth[place, s], policy) for s in (0, 1))
        for name in ("dice", "hausdorff", "nsd"):
            assert found[f"{name}:lungs"][place] == lungs[name]
            assert found[f"{name}:heart"][place] == heart[name]
            assert found[name][place] == pytest.approx((lungs[name] + heart[name]) / 2)
    summary = score_segmentation(table, masks, truth, policy, structures=("lungs", "heart")).metrics
    assert (summary["empty_prediction"], summary["empty_prediction:heart"]) == (1, 1)
    assert summary["empty_prediction:lungs"] == 0
    assert summary["dice:heart"] == pytest.approx(found["dice:heart"].mean())
