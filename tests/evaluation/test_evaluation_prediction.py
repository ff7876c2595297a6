"""Predictions in batches, and in smaller ones where memory runs out."""

import numpy as np
import pytest
import torch
from mmbench.baselines.umtl import UMTL

from mmbench.errors import PluginError
from mmbench.evaluation import prediction
from mmbench.evaluation.prediction import predict
from mmbench.methods import Method, Prediction, Problem
from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import Task

CPU = torch.device("cpu")
IMAGES = np.arange(11, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)


class Echo(Method):
    """Says what it sees: the image as mask logits, its first pixel as logit of pneumonia."""

    def __init__(self, room):
        super().__init__()
        self.room, self.passes = room, []

    def predict(self, images, task):
        self.passes.append(len(images))
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        first = images[:, 0, 0, 0]
        return Prediction(class_logits=torch.stack([torch.zeros_like(first), first], 1), mask_logits=images)


def test_every_image_is_predicted_once_in_order_whatever_fits(monkeypatch):
    monkeypatch.setitem(prediction.PIXELS_PER_BATCH, "cpu", 16 * 8)
    expected = 1 / (1 + np.exp(1 - IMAGES / 255 * 2))
    for room, passes in ((8, [8, 3]), (3, [8, 4, 2, 2, 2, 2, 2, 1])):
        method = Echo(room)
        masks = predict(method, IMAGES, Task.SEGMENTATION, device=CPU)
        assert method.passes == passes
        assert (masks.dtype, masks.shape) == (np.float32, (11, 1, 4, 4))
        np.testing.assert_allclose(masks[:, 0], expected, rtol=1e-6)
        classes = predict(method, IMAGES, Task.CLASSIFICATION, device=CPU)
        assert (classes.dtype, classes.shape) == (np.float32, (11, 2))
        np.testing.assert_allclose(classes[:, 1], expected[:, 0, 0], rtol=1e-6)
        np.testing.assert_allclose(classes.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "left_out"), [(Task.CLASSIFICATION, "segment"), (Task.SEGMENTATION, "classify")]
)
def test_a_network_computes_only_the_task_that_is_evaluated(task, left_out, monkeypatch):
    method = UMTL()
    method.build(Problem(frozenset(Task), Backbone(width=0.25, depth=2), 4))
    expected = predict(method, IMAGES, task, device=CPU)
    monkeypatch.setattr(method.network, left_out, None)
    np.testing.assert_array_equal(predict(method, IMAGES, task, device=CPU), expected)


def test_a_method_that_predicts_nothing_is_named():
    class Silent(Echo):
        name = "silent"

        def predict(self, images, task):
            return Prediction()

    with pytest.raises(PluginError, match="^method 'silent' predicts nothing for segmentation; predict must"):
        predict(Silent(9), IMAGES, Task.SEGMENTATION, device=CPU)


def test_memory_that_does_not_hold_one_image_is_told():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        predict(Echo(room=0), IMAGES, Task.CLASSIFICATION, device=CPU)
