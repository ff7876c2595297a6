"""The scores that weights are chosen by, against scikit-learn and the scores of records."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from mmbench.data.dataset import Dataset
from mmbench.evaluation.scores import score_segmentation
from mmbench.evaluation.validation import ValidationPart, main_scores
from mmbench.methods import Method, Prediction
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task

CPU = torch.device("cpu")
COUNT = 12


class Echo(Method):
    """Says what it sees: pixels as mask logits, the first pixel as the logit of pneumonia."""

    def predict(self, images, task):
        if task is Task.SEGMENTATION:
            return Prediction(mask_logits=images)
        first = images[:, 0, 0, 0]
        return Prediction(class_logits=torch.stack([torch.zeros_like(first), first], 1))


def dataset():
    random = np.random.default_rng(1)
    labels = pd.array([0, 1, None] * (COUNT // 3), dtype="Int8")
    table = pd.DataFrame(
        {
            "case_id": [f"c{n}" for n in range(COUNT)],
            "part": ["validation", "validation", "validation", "test"] * (COUNT // 4),
            "label": labels,
            "has_mask": [n % 2 == 0 for n in range(COUNT)],
        }
    )
    images = random.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
    images[2] = 0  # an empty prediction
    masks = random.integers(0, 2, (COUNT, 1, 8, 8), dtype=np.uint8)
    return Dataset("made_up", "kermany", table, images, masks, "", "")


def test_the_score_of_each_task_and_domain():
    data = dataset()
    parts = [ValidationPart(data, "validation", task) for task in Task]
    found = main_scores(Echo(), parts, device=CPU, precision="float32")
    assert list(found) == [f"{task.value} kermany" for task in Task]

    rows = data.rows("validation", Task.CLASSIFICATION)
    labels, predicted = data.cases["label"][rows].astype(int), data.images[rows, 0, 0] >= 128
    assert 2 < len(rows) < COUNT
    assert found["classification kermany"] == pytest.approx(balanced_accuracy_score(labels, predicted))

    rows = data.rows("validation", Task.SEGMENTATION)
    masks, truth = data.images[rows][:, None] >= 128, data.masks[rows] > 0
    table = data.cases.iloc[rows].assign(patient_id="p")
    recorded = score_segmentation(table, masks, truth, MetricPolicy())
    assert found["segmentation kermany"] == pytest.approx(recorded.metrics["dice"])


def test_a_part_with_one_class_has_no_score():
    data = dataset()
    data.cases["label"] = pd.array([1] * COUNT, dtype="Int8")
    found = main_scores(
        Echo(), [ValidationPart(data, "test", Task.CLASSIFICATION)], device=CPU, precision="float32"
    )
    assert np.isnan(found["classification kermany"])
