"""Methods that adapt to what they predict: what they see, in which order, and what remains of it."""

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.evaluation.adaptation import adapted_predictions
from mmbench.evaluation.breaches import checked_predictions, weights_digest
from mmbench.methods import CLASSIFICATION, Adaptation, Method, Prediction

CPU = torch.device("cpu")
# Image i is constantly i.
IMAGES = np.arange(7, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)


class Counter(Method):
    """Predicts how many images it has adapted to before, and which it is shown."""

    name = "counter"
    adaptation = Adaptation(batch_size=3, order="stored")

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        nn.init.zeros_(self.layer.bias)
        self.seen = []

    def begin_adaptation(self, task):
        assert task is CLASSIFICATION
        assert not self.layer.training
        self.seen.append("begin")

    def adapt(self, images, task):
        assert torch.is_grad_enabled()
        numbers = ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
        self.seen.append(numbers)
        print(numbers)
        with torch.no_grad():
            self.layer.bias.add_(len(images))

    def predict(self, images, task):
        assert not torch.is_grad_enabled()
        number = (images[:, 0, 0, 0] + 1) * 127.5
        return Prediction(class_logits=torch.stack([number / 10, self.layer.bias.expand(len(images))], 1))


def probability(images, biases):
    logits = np.stack([np.array(images) / 10, np.array(biases)], 1)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_online_adaptation_goes_on_from_batch_to_batch():
    found = adapted_predictions(Counter(), IMAGES, CLASSIFICATION, device=CPU)
    assert found == pytest.approx(probability(range(7), [3, 3, 3, 6, 6, 6, 7]), abs=1e-6)


def test_episodic_adaptation_starts_anew_with_each_batch():
    method = Counter()
    other = Adaptation(batch_size=3, episodic=True, order="stored")
    method.adaptation = other  # type: ignore[misc]  # of this one alone
    found = adapted_predictions(method, IMAGES, CLASSIFICATION, device=CPU)
    assert found == pytest.approx(probability(range(7), [3, 3, 3, 3, 3, 3, 1]), abs=1e-6)


def test_a_shuffled_order_hangs_on_the_seed_and_predictions_keep_their_places(capsys):
    method, orders = Counter(), []
    method.adaptation = Adaptation(batch_size=3)  # type: ignore[misc]  # of this one alone
    for seed in (0, 0, 1):
        found = adapted_predictions(method, IMAGES, CLASSIFICATION, device=CPU, seed=seed)
        orders.append(eval("+".join(capsys.readouterr().out.split("\n")[:-1])))
        assert sorted(orders[-1]) == list(range(7))
        place = np.argsort(orders[-1])
        assert found == pytest.approx(probability(range(7), np.array([3, 3, 3, 6, 6, 6, 7])[place]), abs=1e-6)
    assert orders[0] == orders[1] != orders[2]


def test_nothing_of_it_remains():
    method = Counter()
    before, layer = weights_digest(method), method.layer
    first = checked_predictions(method, IMAGES, CLASSIFICATION, device=CPU)
    assert weights_digest(method) == before
    assert method.layer is layer
    assert method.layer.training
    assert method.seen == []
    assert np.array_equal(first, checked_predictions(method, IMAGES, CLASSIFICATION, device=CPU))


def test_a_method_that_fails_while_it_adapts_comes_out_as_it_went_in():
    class Failing(Counter):
        def adapt(self, images, task):
            super().adapt(images, task)
            if len(self.seen) > 2:
                raise RuntimeError("planted")

    method = Failing()
    with pytest.raises(RuntimeError, match="planted"):
        adapted_predictions(method, IMAGES, CLASSIFICATION, device=CPU)
    assert method.layer.bias.item() == 0
    assert method.seen == []
