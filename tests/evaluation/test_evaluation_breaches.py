"""A trained method that breaks the contract when it predicts is refused, whatever it did in the check."""

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.errors import PluginError
from mmbench.evaluation.breaches import checked_predictions, weights_digest
from mmbench.evaluation.prediction import predict
from mmbench.methods import Method, Prediction
from mmbench.protocol.vocabulary import Task

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)


class Honest(Method):
    name = "honest"

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 2))

    def predict(self, images, task):
        return Prediction(class_logits=self.network(images))


class Learns(Honest):
    name = "learns"

    def predict(self, images, task):
        with torch.no_grad():
            self.network[2].bias.add_(1e-6)
        return super().predict(images, task)


class Counts(Honest):
    """A buffer moves, as batch normalisation's statistics do in training mode, and no prediction with it."""

    name = "counts"

    def predict(self, images, task):
        self.network[1].get_buffer("num_batches_tracked").add_(1)
        return super().predict(images, task)


class Compares(Honest):
    name = "compares"

    def predict(self, images, task):
        return super().predict(images - images.mean(0), task)


class Draws(Honest):
    name = "draws"

    def predict(self, images, task):
        return super().predict(images + torch.randn_like(images), task)


class Fails(Honest):
    name = "fails"

    def predict(self, images, task):
        return Prediction(class_logits=super().predict(images, task).class_logits / 0 * 0)


def test_an_honest_methods_predictions_are_those_without_the_check():
    method = Honest()
    found = checked_predictions(method, IMAGES, Task.CLASSIFICATION, device=CPU)
    np.testing.assert_array_equal(found, predict(method, IMAGES, Task.CLASSIFICATION, device=CPU))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Learns, "method 'learns' changed its weights or buffers in predict"),
        (Counts, "method 'counts' changed its weights or buffers in predict"),
        (Compares, "method 'compares' predicts image 0 differently alone than among others"),
        (Draws, "method 'draws' predicts image 0 differently alone than among others"),
        (Fails, "method 'fails' predicts what is not a number for classification"),
    ],
)
def test_a_breach_is_refused(cls, message):
    with pytest.raises(PluginError, match=message):
        checked_predictions(cls(), IMAGES, Task.CLASSIFICATION, device=CPU)


def test_a_digest_tells_weights_buffers_and_names():
    method, other = Honest(), Honest()
    assert weights_digest(method) == weights_digest(other)
    other.network[1].running_mean[0] = 1
    assert weights_digest(method) != weights_digest(other)
    method.head = method.network  # type: ignore[attr-defined]  # one name more
    assert weights_digest(method) != weights_digest(Honest())
