"""FixMatch and what builds on it, against their formulas, computed one image at a time."""

import math

import pytest
import torch
from mmbench.baselines.fixmatch import FixMatch
from mmbench.baselines.flexmatch import FlexMatch
from mmbench.baselines.freematch import FreeMatch
from mmbench.baselines.softmatch import SoftMatch

from mmbench.methods import UNLABELED_CLASSIFICATION, LabeledData
from mmbench.testing import built, example_batch

WEAK = torch.tensor([[0.99, 0.01], [0.2, 0.8], [0.6, 0.4], [0.04, 0.96]])
STRONG = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-1.0, 1.0], [0.0, 3.0]])
ROWS = torch.arange(4)


def cross_entropy(logits, label):
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def plain(weights):
    """Return the mean over all four images of weight times -log p(label of the weak view)."""
    found = [
        weight * cross_entropy(strong, max(range(2), key=weak.__getitem__))
        for weight, weak, strong in zip(weights, WEAK.tolist(), STRONG.tolist(), strict=True)
    ]
    return sum(found) / 4


def pseudo(method):
    return method.pseudo_labels(WEAK, STRONG, ROWS)["pseudo_label"].item()


def test_fixmatch_counts_sure_images_and_divides_by_all():
    method = built(FixMatch, {"pseudo_label_weight": 2.0})
    assert pseudo(method) == pytest.approx(2 * plain([1, 0, 0, 1]))


def test_fixmatch_follows_the_weak_view_and_no_gradient_flows_into_it():
    method = built(FixMatch, {"confidence": 0.0})
    method.network.eval()
    batch = example_batch(FixMatch.streams, views=FixMatch.views)
    found = method.losses(batch)["pseudo_label"]
    unlabeled = batch[UNLABELED_CLASSIFICATION]
    with torch.no_grad():
        labels = method.network.classify(unlabeled.images).argmax(1)
    strong = method.network.classify(unlabeled.strong[0])
    expected = torch.nn.functional.cross_entropy(strong, labels)
    assert found.item() == pytest.approx(expected.item())
    weights = [w for w in method.network.parameters() if w.requires_grad]
    for one, other in zip(
        torch.autograd.grad(found, weights, allow_unused=True),
        torch.autograd.grad(expected, weights, allow_unused=True),
        strict=True,
    ):
        assert (one is None and other is None) or torch.allclose(one, other, atol=1e-6)


def test_flexmatch_thresholds_by_hand():
    method = built(FlexMatch, {})
    assert method.thresholds().tolist() == [0.0, 0.0]  # nothing learned: every label counts
    assert pseudo(method) == pytest.approx(plain([1, 1, 1, 1]))
    method.learned = torch.tensor([0, -1, 1, 1])
    # Counts: one without a class, one of class 0, two of class 1; the largest is 2.
    half = 0.5 / (2 - 0.5)
    assert method.thresholds().tolist() == pytest.approx([0.95 * half, 0.95 * 1.0])
    assert pseudo(method) == pytest.approx(plain([1, 0, 1, 1]))


def test_flexmatch_learns_only_sure_images_after_the_step():
    method = built(FlexMatch, {})
    method.learned = torch.tensor([1, 0, -1, -1])
    method.pseudo_labels(WEAK, STRONG, torch.tensor([3, 2, 1, 0]))
    assert method.learned.tolist() == [1, 0, -1, -1]  # not within losses
    method.after_step(1)
    assert method.learned.tolist() == [1, 0, -1, 0]


def test_freematch_thresholds_averages_and_fairness_by_hand():
    method = built(FreeMatch, {"decay": 0.9, "fairness_weight": 1.0})
    assert method.thresholds().tolist() == [0.5, 0.5]
    method.running.confidence.fill_(0.9)
    method.running.probability.copy_(torch.tensor([0.25, 0.75]))
    method.running.histogram.copy_(torch.tensor([0.4, 0.6]))
    assert method.thresholds().tolist() == pytest.approx([0.3, 0.9])
    found = method.pseudo_labels(WEAK, STRONG, ROWS)
    assert found["pseudo_label"].item() == pytest.approx(plain([1, 0, 1, 1]))

    expected = [0.25 / 0.4, 0.75 / 0.6]
    expected = [value / sum(expected) for value in expected]
    sure = [STRONG[place].double().softmax(0) for place in (0, 2, 3)]
    mean = [sum(float(p[label]) for p in sure) / 3 for label in range(2)]
    ratio = [mean[0] / (1 / 3), mean[1] / (2 / 3)]  # one of three is class 0
    ratio = [value / sum(ratio) for value in ratio]
    fairness = sum(e * math.log(r) for e, r in zip(expected, ratio, strict=True))
    assert found["fairness"].item() == pytest.approx(fairness, rel=1e-5)

    method.after_step(1)
    assert method.running.confidence.item() == pytest.approx(0.9 * 0.9 + 0.1 * (0.99 + 0.8 + 0.6 + 0.96) / 4)
    assert method.running.probability.tolist() == pytest.approx(
        [0.9 * 0.25 + 0.1 * 1.83 / 4, 0.9 * 0.75 + 0.1 * 2.17 / 4]
    )
    assert method.running.histogram.tolist() == pytest.approx([0.9 * 0.4 + 0.05, 0.9 * 0.6 + 0.05])


def test_freematch_is_fair_to_nobody_where_nothing_is_sure():
    method = built(FreeMatch, {"fairness_weight": 1.0})
    method.running.confidence.fill_(1.0)
    found = method.pseudo_labels(WEAK, STRONG.clone().requires_grad_(True), ROWS)
    assert found["fairness"] == found["pseudo_label"] == 0


def test_softmatch_weights_by_hand():
    method = built(SoftMatch, {"alignment": "uniform", "deviations": 2.0})
    method.running.mean.fill_(0.9)
    method.running.variance.fill_(0.04)
    method.running.probability.copy_(torch.tensor([0.4, 0.6]))
    weights = []
    for weak in WEAK.tolist():
        aligned = [weak[0] * 0.5 / 0.4, weak[1] * 0.5 / 0.6]
        short = min(0.0, max(aligned) / sum(aligned) - 0.9)
        weights.append(math.exp(-(short**2) / (2 * 0.04 / 4)))
    assert min(weights) < 0.5 < max(weights)
    assert pseudo(method) == pytest.approx(plain(weights))


def test_softmatch_aligns_to_the_labels_and_averages_after_the_step():
    method = built(SoftMatch, {"decay": 0.9})
    method.start(LabeledData(labels=torch.tensor([1, 1, 0, 1])))
    assert method.running.aim.tolist() == [0.25, 0.75]
    method.pseudo_labels(WEAK, STRONG, ROWS)
    method.after_step(1)
    mean = [1.83 / 4, 2.17 / 4]
    assert method.running.probability.tolist() == pytest.approx(mean)  # the first step's, not the guess
    aligned = [[w[0] * 0.25 / mean[0], w[1] * 0.75 / mean[1]] for w in WEAK.tolist()]
    surest = [max(pair) / sum(pair) for pair in aligned]
    centre = sum(surest) / 4
    spread = sum((value - centre) ** 2 for value in surest) / 3
    assert method.running.mean.item() == pytest.approx(0.9 * 0.5 + 0.1 * centre)
    assert method.running.variance.item() == pytest.approx(0.9 + 0.1 * spread)
    method.pseudo_labels(WEAK, STRONG, ROWS)
    method.after_step(2)
    assert method.running.probability.tolist() == pytest.approx(mean)
