"""Self-training against its formulas, computed plainly."""

from typing import Any

import pytest
import torch
from mmbench.baselines.self_training import SelfTraining
from mmbench.baselines.umtl import UMTL

from mmbench.methods import UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION
from mmbench.testing import built, example_batch, example_pools

SIDE = 32


@pytest.fixture
def method():
    torch.manual_seed(0)
    found: Any = built(SelfTraining, {"confidence": 0.5, "pseudo_label_weight": 2.0}, SIDE)
    found.network.eval()  # so that nothing is dropped out
    return found


def test_before_its_labels_are_made_it_is_umtl(method):
    batch = example_batch(SelfTraining.streams, SIDE)
    found, plain = method.losses(batch), UMTL.losses(method, batch)
    assert found.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in found.items())


def test_the_labels_are_those_of_the_network_when_they_were_made(method):
    batch = example_batch(SelfTraining.streams, SIDE)
    images, masks = batch[UNLABELED_CLASSIFICATION], batch[UNLABELED_SEGMENTATION]
    with torch.no_grad():
        method.begin_stage(1, example_pools(batch))
        old_classes, old_masks = method.network.classify(images.images), method.network.segment(masks.images)
        for weight in method.network.parameters():
            weight.mul_(1.2)
        new_classes, new_masks = method.network.classify(images.images), method.network.segment(masks.images)
        found = method.losses(batch)
    surest, label = old_classes.softmax(1).max(1)
    own = -new_classes.log_softmax(1)[torch.arange(4), label] * (surest >= 0.5)
    assert found["own_labels"].item() == pytest.approx(2 * own.sum().item() / 4, rel=1e-5)
    probability, truth = new_masks.sigmoid(), (old_masks > 0).float()
    overlap = 2 * (probability * truth).sum((1, 2, 3)) + 1
    dice = overlap / (probability.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
    assert found["own_masks"].item() == pytest.approx(2 * 5 * (1 - dice).mean().item(), rel=1e-5)


def test_an_image_is_learned_with_its_own_label_wherever_it_stands_in_the_batch(method):
    batch = example_batch(SelfTraining.streams, SIDE)
    with torch.no_grad():
        method.begin_stage(1, example_pools(batch))
        found = method.losses(batch)
        for stream in (UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION):
            part = batch[stream]
            part.images, part.rows = part.images.flip(0), part.rows.flip(0)
        turned = method.losses(batch)
    for name, value in found.items():
        assert turned[name].item() == pytest.approx(value.item(), rel=1e-5)
