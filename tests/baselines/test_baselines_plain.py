"""MultiMix's fast formulation equals the plain one, dropout's random stream aside."""

import pytest
import torch
from mmbench.baselines.multimix import MultiMix

from benchmarks.performance.plain import PlainMultiMix
from benchmarks.performance.step import make_batch
from mmbench.methods import Problem
from mmbench.protocol.schema import Backbone

SIZES = pytest.mark.parametrize(("side", "width"), [(32, 0.25), (48, 0.5), (64, 1.0)])


def both(side, width):
    torch.manual_seed(0)
    fast = MultiMix(MultiMix.Hyperparameters(confidence=0.5))
    fast.build(Problem(frozenset(MultiMix.tasks), Backbone(width=width, dropout=0.0), side))
    fast.network.train()
    return fast, PlainMultiMix(fast), make_batch(side, 3)


@SIZES
def test_the_losses_agree(side, width):
    fast, plain, batch = both(side, width)
    expected, found = plain.losses(batch), fast.losses(batch)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert value > 0
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


@SIZES
def test_the_gradients_agree(side, width, monkeypatch):
    # In double precision: a rounded sum may fall on the other side of a leaky ReLU's or a maximum's kink.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        fast, plain, batch = both(side, width)
        for method in (fast, plain):
            torch.stack(list(method.losses(batch).values())).sum().backward()
    finally:
        torch.set_default_dtype(default)
    expected = {name: weight.grad for name, weight in plain.network.named_parameters()}
    for name, weight in fast.network.named_parameters():
        torch.testing.assert_close(weight.grad, expected.pop(name), atol=1e-10, rtol=1e-8)
    assert not expected
