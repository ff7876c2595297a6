"""Loss terms against slow, plain formulations."""

import math

import numpy as np
import pytest
import torch

from mmbench.methods import terms


def softmax(row):
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / sum(powers) for power in powers]


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def test_cross_entropy_by_hand():
    logits, labels = [[0.2, -1.3], [2.0, 0.5], [-0.4, 0.1]], [0, 1, 1]
    expected = -np.mean([math.log(softmax(row)[label]) for row, label in zip(logits, labels, strict=True)])
    assert terms.cross_entropy(torch.tensor(logits), torch.tensor(labels)).item() == pytest.approx(expected)


def test_pseudo_label_counts_unconfident_images_as_zero():
    weak = [[2.0, 0.0], [0.1, 0.0], [-3.0, 0.5], [0.0, 0.9]]
    strong = [[0.3, 0.1], [5.0, -5.0], [1.0, -1.0], [0.2, 0.4]]
    expected = 0.0
    for w, s in zip(weak, strong, strict=True):
        probabilities = softmax(w)
        if max(probabilities) >= 0.7:
            expected -= math.log(softmax(s)[probabilities.index(max(probabilities))])
    found = terms.pseudo_label(torch.tensor(weak), torch.tensor(strong), 0.7)
    assert found.item() == pytest.approx(expected / 4)


def test_pseudo_label_at_the_threshold_is_kept():
    logit = math.log(0.75 / 0.25)
    weak = torch.tensor([[logit, 0.0]], dtype=torch.float64)
    confidence = weak.float().softmax(1).max().item()
    assert terms.pseudo_label(weak, torch.zeros(1, 2), confidence).item() == pytest.approx(math.log(2))
    assert terms.pseudo_label(weak, torch.zeros(1, 2), confidence + 1e-6).item() == 0


def test_pseudo_label_sends_no_gradient_into_the_weak_view():
    weak = torch.tensor([[3.0, 0.0]], requires_grad=True)
    strong = torch.tensor([[0.0, 1.0]], requires_grad=True)
    terms.pseudo_label(weak, strong, 0.7).backward()
    assert weak.grad is None
    assert strong.grad.abs().sum() > 0


def test_dice_is_per_image_with_smooth_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 1, 4, 5)).astype(np.float32)
    masks = (rng.random((3, 1, 4, 5)) > 0.5).astype(np.float32)
    masks[2] = 0
    losses = []
    for logit, mask in zip(logits, masks, strict=True):
        p = [sigmoid(float(value)) for value in logit.ravel()]
        y = mask.ravel().tolist()
        overlap = sum(a * b for a, b in zip(p, y, strict=True))
        losses.append(1 - (2 * overlap + 1) / (sum(p) + sum(y) + 1))
    found = terms.dice(torch.from_numpy(logits), torch.from_numpy(masks)).item()
    assert found == pytest.approx(np.mean(losses), rel=1e-6)


def test_bernoulli_kl_is_the_mean_over_pixels_of_coin_divergences():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 2, 1, 3, 3)).astype(np.float32) * 3
    total = 0.0
    for x, y in zip(a.ravel(), b.ravel(), strict=True):
        p, q = sigmoid(float(x)), sigmoid(float(y))
        total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    found = terms.segmentation_kl(torch.from_numpy(a), torch.from_numpy(b), "bernoulli")
    assert found.item() == pytest.approx(total / a.size, rel=1e-5)


def test_spatial_kl_is_the_mean_over_images_of_divergences_between_pixel_distributions():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 2, 1, 3, 3)).astype(np.float32)
    total = 0.0
    for x, y in zip(a, b, strict=True):
        p, q = softmax(x.ravel().tolist()), softmax(y.ravel().tolist())
        total += sum(u * math.log(u / v) for u, v in zip(p, q, strict=True))
    found = terms.segmentation_kl(torch.from_numpy(a), torch.from_numpy(b), "spatial")
    assert found.item() == pytest.approx(total / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["bernoulli", "spatial"])
def test_kl_is_finite_for_saturated_logits_zero_for_equal_ones_and_flows_both_ways(kind):
    extreme = torch.tensor([[[[80.0, -80.0]]]], requires_grad=True)
    other = torch.tensor([[[[-80.0, 80.0]]]], requires_grad=True)
    value = terms.segmentation_kl(extreme, other, kind)
    assert torch.isfinite(value)
    assert value > 10
    a = torch.randn(2, 1, 4, 4, requires_grad=True)
    b = torch.randn(2, 1, 4, 4, requires_grad=True)
    terms.segmentation_kl(a, b, kind).backward()
    assert a.grad.abs().sum() > 0
    assert b.grad.abs().sum() > 0
    assert terms.segmentation_kl(a, a, kind).item() == pytest.approx(0, abs=1e-7)


def test_released_kl_is_zero():
    assert terms.segmentation_kl(torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4), "none").item() == 0


def test_together_equals_apart():
    layer = torch.nn.Linear(3, 2)
    a, b = torch.randn(4, 3), torch.randn(2, 3)
    first, second = terms.together(layer, a, b)
    torch.testing.assert_close(first, layer(a))
    torch.testing.assert_close(second, layer(b))


def test_terms_of_several_structures_are_the_mean_over_them():
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 2, 8, 8)
    masks = (torch.randn(3, 2, 8, 8) > 0).float()

    def mean_of(term):
        return torch.stack([term(slice(s, s + 1)) for s in (0, 1)]).mean()

    torch.testing.assert_close(
        terms.dice(first, masks), mean_of(lambda s: terms.dice(first[:, s], masks[:, s]))
    )
    for kind in ("bernoulli", "spatial"):
        torch.testing.assert_close(
            terms.segmentation_kl(first, second, kind),
            mean_of(lambda s, kind=kind: terms.segmentation_kl(first[:, s], second[:, s], kind)),
        )
