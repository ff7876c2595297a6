"""Uncertainty weighting and FAMO against their formulas, an optimiser of torch's, and a hand calculation."""

import math

import pytest
import torch
from mmbench.baselines.famo import FAMO
from mmbench.baselines.umtl import UMTL
from mmbench.baselines.uncertainty import Uncertainty

from mmbench.testing import built, example_batch

NAMES = ("cross_entropy", "dice")


def both(cls, **hyperparameters):
    """Return a method and UMTL with the same weights, without dropout."""
    method, plain = built(cls, hyperparameters), built(UMTL, {})
    plain.network.load_state_dict(method.network.state_dict())
    method.network.eval()
    plain.network.eval()
    return method, plain


def test_uncertainty_by_hand():
    method, plain = both(Uncertainty, log_variance=-0.5)
    with torch.no_grad():
        method.log_variances["dice"].fill_(1.5)
    batch = example_batch(UMTL.streams)
    found, terms = method.losses(batch), plain.losses(batch)
    for name, log in zip(NAMES, (-0.5, 1.5), strict=True):
        assert found[name].item() == pytest.approx(math.exp(-log) * terms[name].item() + log / 2, rel=1e-5)
        slope = torch.autograd.grad(found[name], method.log_variances[name], retain_graph=True)[0]
        assert slope.item() == pytest.approx(-math.exp(-log) * terms[name].item() + 0.5, rel=1e-5)


def test_famo_weighs_logarithms_of_the_losses():
    method, plain = both(FAMO)
    method.balance.logits.copy_(torch.tensor([0.3, -0.2]))
    batch = example_batch(UMTL.streams)
    found, terms = method.losses(batch), plain.losses(batch)
    share = [math.exp(0.3), math.exp(-0.2)]
    share = [value / sum(share) for value in share]
    scale = sum(z / terms[name].item() for z, name in zip(share, NAMES, strict=True))
    for z, name in zip(share, NAMES, strict=True):
        assert found[name].item() == pytest.approx(z * math.log(terms[name].item()) / scale, rel=1e-4)
    # The scale makes the gradient a mean of the losses' gradients: its factors add up to 1.
    factors = [z / terms[name].item() / scale for z, name in zip(share, NAMES, strict=True)]
    assert sum(factors) == pytest.approx(1)
    weight = next(iter(method.network.body.encoder.parameters()))
    own = torch.autograd.grad(sum(found.values()), weight)[0]
    other = next(iter(plain.network.body.encoder.parameters()))
    expected = torch.autograd.grad(sum(f * terms[n] for f, n in zip(factors, NAMES, strict=True)), other)[0]
    assert torch.allclose(own, expected, atol=1e-6)


def test_famo_moves_its_weights_as_adam_does(monkeypatch):
    method = built(FAMO, {})
    reference = torch.zeros(2, requires_grad=True)
    adam = torch.optim.Adam([reference], lr=0.025, weight_decay=0.001)
    before = [torch.tensor([1.0, 2.0]), torch.tensor([0.8, 2.5]), torch.tensor([0.9, 1.0])]
    after = [torch.tensor([0.5, 1.9]), torch.tensor([0.9, 2.0]), torch.tensor([0.3, 1.0])]
    for step, (old, new) in enumerate(zip(before, after, strict=True), 1):
        zeros = torch.zeros(1, 1, 32, 32)
        method.forget_observed()
        method.observe(values=old[None] + 1e-8, images=zeros, labels=torch.zeros(1).long())
        method.observe(segmented=zeros, masks=zeros)
        losses = dict(zip(NAMES, new, strict=True))
        monkeypatch.setattr(UMTL, "losses", lambda self, batch, losses=losses: losses)
        method.after_step(step)
        # The official code lets autograd multiply the fall by the softmax's Jacobian.
        fall = (old + 1e-8).log() - (new + 1e-8).log()
        reference.grad = torch.autograd.grad(reference.softmax(0), reference, fall)[0]
        adam.step()
        assert torch.allclose(method.balance.logits, reference.detach(), atol=1e-6)


def test_famo_looks_at_the_same_images_after_the_step():
    method, plain = both(FAMO)
    batch = example_batch(UMTL.streams)
    method.losses(batch)
    with torch.no_grad():
        for net in (method.network, plain.network):
            net.body.class_head.bias.add_(torch.tensor([2.0, -2.0]))
    before, after = method.observed("values")[0, 0], plain.losses(batch)["cross_entropy"]
    method.after_step(1)
    # Only the cross-entropy moved; Adam's first step is as long as the rate, towards the loss that fell less.
    sign = 1.0 if after > before else -1.0
    assert torch.allclose(method.balance.logits, sign * torch.tensor([0.025, -0.025]), atol=1e-4)
