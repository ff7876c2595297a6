"""MixMatch against its formulas, computed one image at a time."""

import math

import pytest
import torch
from mmbench.baselines.mixmatch import MixMatch

from mmbench.methods import LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION
from mmbench.testing import built, example_batch


@pytest.fixture
def method():
    found = built(MixMatch, {"guess_weight": 10.0})
    found.network.eval()  # so that nothing is dropped out
    return found


def test_guesses_are_sharpened_means_of_the_weak_views(method):
    views = example_batch(MixMatch.streams, views=MixMatch.views)[UNLABELED_CLASSIFICATION].weak
    assert len(views) == 2
    found = method.guess(views)
    assert not found.requires_grad
    with torch.no_grad():
        first, second = (method.network.classify(view).softmax(1).tolist() for view in views)
    for image, guess in enumerate(found.tolist()):
        power = [((first[image][c] + second[image][c]) / 2) ** 2 for c in range(2)]  # 1 / T = 2
        assert guess == pytest.approx([value / sum(power) for value in power], rel=1e-4)


def test_mixtures_keep_most_of_the_first_image_and_match_their_targets(method):
    images = torch.arange(12.0)[:, None, None, None].expand(12, 1, 2, 2)
    targets = torch.eye(12)
    torch.manual_seed(0)
    mixed, labels = method.mix(images, targets)
    partners = set()
    for place in range(12):
        share = labels[place, place].item()
        others = [other for other in range(12) if other != place and labels[place, other] > 0]
        assert share >= 0.5
        assert len(others) <= 1
        expected = share * place + sum(labels[place, other].item() * other for other in others)
        assert torch.allclose(mixed[place], torch.full((1, 2, 2), expected), atol=1e-4)
        partners.update(others)
    assert len(partners) > 5  # labelled and unlabelled alike


def test_losses_by_hand(method, monkeypatch):
    batch = example_batch(MixMatch.streams, views=MixMatch.views)
    batch.step, method.steps = 30, 100
    monkeypatch.setattr(method, "mix", lambda images, targets: (images, targets))
    found = method.losses(batch)
    labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
    guess = method.guess(unlabeled.weak)
    with torch.no_grad():
        logits = method.network.classify(labeled.images).tolist()
        predicted = [method.network.classify(view).softmax(1) for view in unlabeled.weak]
    entropies = [
        math.log(sum(map(math.exp, row))) - row[label]
        for row, label in zip(logits, labeled.labels.tolist(), strict=True)
    ]
    assert found["cross_entropy"].item() == pytest.approx(sum(entropies) / 4, rel=1e-4)
    squares = [(p - guess).square().sum().item() for p in predicted]
    # The mean over 8 images and 2 classes, times a weight that has come to 30 of 100 steps.
    assert found["guess"].item() == pytest.approx(10 * 0.3 * sum(squares) / 16, rel=1e-4)
