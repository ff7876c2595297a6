"""UniMatch against its formulas, computed one image and one pixel at a time."""

import math
from typing import Any

import pytest
import torch
from mmbench.baselines.unimatch import UniMatch

from mmbench.methods import UNLABELED_SEGMENTATION
from mmbench.testing import built, example_batch

SIDE = 32


@pytest.fixture
def method():
    torch.manual_seed(0)
    found: Any = built(UniMatch, {"confidence": 0.6, "feature_dropout": 0.0}, SIDE)
    found.network.eval()  # so that nothing is dropped out
    with torch.no_grad():
        found.network.body.mask_head.weight.mul_(5)  # so that some pixels are sure and others are not
    return found


def plain(logits, mask, sure):
    """Return the mean over pixels of -log p(mask) where the pixel is sure."""
    total = 0.0
    for logit, inside, counts in zip(
        logits.flatten().tolist(), mask.flatten().tolist(), sure.flatten().tolist(), strict=True
    ):
        if counts:
            total += math.log1p(math.exp(-logit if inside else logit))
    return total / logits.numel()


def test_terms_follow_their_formulas(method):
    batch = example_batch(UniMatch.streams, SIDE, UniMatch.views)
    found = method.losses(batch)
    unlabeled = batch[UNLABELED_SEGMENTATION]
    with torch.no_grad():
        weak = method.network.segment(unlabeled.images)
        probability = weak.double().sigmoid()
        mask, sure = probability > 0.5, (probability - 0.5).abs() >= 0.1
        assert 0.05 < sure.float().mean() < 0.95
        assert found["features"].item() == pytest.approx(0.5 * plain(weak, mask, sure), rel=1e-3)
        for number in (0, 1):
            mix, total = unlabeled.cutmix[number], 0.0
            for image, partner in enumerate(mix.partners.tolist()):
                box = mix.boxes[image, 0]
                pasted, label, counts = (
                    torch.where(box, values[partner, 0], values[image, 0])
                    for values in (unlabeled.strong[number], mask, sure)
                )
                total += plain(method.network.segment(pasted[None, None]), label, counts) / 4
            assert found[f"strong_{number + 1}"].item() == pytest.approx(0.25 * total, rel=1e-3)


def test_nothing_sure_nothing_learned(method):
    method.hyperparameters = UniMatch.Hyperparameters(confidence=1.0)
    with torch.no_grad():
        method.network.body.mask_head.weight.mul_(0.01)
    found = method.losses(example_batch(UniMatch.streams, SIDE, UniMatch.views))
    assert found["strong_1"] == found["strong_2"] == found["features"] == 0
    assert found["dice"] > 0


def test_pseudo_masks_come_without_a_gradient_and_dropped_features_differ(method):
    batch = example_batch(UniMatch.streams, SIDE, UniMatch.views)
    kept = method.losses(batch)["features"]
    method.hyperparameters = UniMatch.Hyperparameters(confidence=0.6, feature_dropout=0.5)
    torch.manual_seed(3)
    assert method.losses(batch)["features"] != kept
