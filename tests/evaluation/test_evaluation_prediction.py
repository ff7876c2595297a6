"""Predictions in batches, and in smaller ones where memory runs out."""

import numpy as np
import pytest
import torch

from mmbench.evaluation import prediction
from mmbench.evaluation.prediction import predict
from mmbench.methods import Method, Prediction

CPU = torch.device("cpu")
IMAGES = np.arange(11, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)


class Echo(Method):
    """Says what it sees: the image as mask logits, its first pixel as logit of pneumonia."""

    def __init__(self, room):
        super().__init__()
        self.room, self.passes = room, []

    def predict(self, images):
        self.passes.append(len(images))
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        first = images[:, 0, 0, 0]
        return Prediction(class_logits=torch.stack([torch.zeros_like(first), first], 1), mask_logits=images)


def test_every_image_is_predicted_once_in_order_whatever_fits(monkeypatch):
    monkeypatch.setitem(prediction.PIXELS_PER_BATCH, "cpu", 16 * 8)
    wide, narrow = Echo(room=8), Echo(room=3)
    expected, found = (predict(method, IMAGES, device=CPU) for method in (wide, narrow))
    assert wide.passes == [8, 3]
    assert narrow.passes == [8, 4, 2, 2, 2, 2, 2, 1]
    logits = IMAGES / 255 * 2 - 1
    np.testing.assert_allclose(expected.masks, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    np.testing.assert_allclose(expected.probabilities, expected.masks[:, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.masks, expected.masks)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_memory_that_does_not_hold_one_image_is_told():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        predict(Echo(room=0), IMAGES, device=CPU)
