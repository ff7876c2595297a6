"""Bidirectional copy-paste against its formulas, computed one pixel at a time."""

import math

import pytest
import torch
from mmbench.baselines.bcp import BCP

from mmbench.methods import LABELED_SEGMENTATION, UNLABELED_SEGMENTATION, blocks
from mmbench.testing import built, example_batch

SIDE = 32


@pytest.fixture
def method():
    found = built(BCP, {"dice_weight": 1.0})
    found.network.eval()  # so that nothing is dropped out
    return found


def region_loss(logits, masks, region):
    """Return (Dice loss + cross-entropy) / 2 of each image's region, averaged as the terms are."""
    dice, entropy, pixels = 0.0, 0.0, 0
    for image in range(len(logits)):
        overlap = size = 0.0
        for logit, inside, counts in zip(
            logits[image].flatten().tolist(),
            masks[image].flatten().tolist(),
            region.flatten().tolist(),
            strict=True,
        ):
            if counts:
                probability = 1 / (1 + math.exp(-logit))
                overlap += probability * inside
                size += probability + inside
                entropy -= math.log(probability if inside else 1 - probability)
                pixels += 1
        dice += (1 - (2 * overlap + 1) / (size + 1)) / len(logits)
    return (dice + entropy / pixels) / 2


def expected(method, images, masks, others, other_masks, weight, box):
    with torch.no_grad():
        outwards = method.network.segment(torch.where(box, others, images))
        inwards = method.network.segment(torch.where(box, images, others))
    return (
        weight * region_loss(outwards, other_masks, box) + region_loss(outwards, masks, ~box),
        region_loss(inwards, masks, box) + weight * region_loss(inwards, other_masks, ~box),
    )


@pytest.mark.parametrize("taught", [False, True])
def test_both_ways_of_pasting_by_hand(method, taught):
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.02)
    method.taught = taught
    batch = example_batch(BCP.streams, SIDE)
    torch.manual_seed(3)
    found = method.losses(batch)
    torch.manual_seed(3)
    box = blocks.random_box(batch[LABELED_SEGMENTATION].images, 2 / 3)
    images, masks = batch[LABELED_SEGMENTATION].images, batch[LABELED_SEGMENTATION].masks
    others, other_masks, weight = images[[3, 0, 1, 2]], masks[[3, 0, 1, 2]], 1.0
    if taught:
        others, weight = batch[UNLABELED_SEGMENTATION].images, 0.5
        with torch.no_grad():
            other_masks = (method.teacher.segment(others).sigmoid() > 0.5).float()
    outwards, inwards = expected(method, images, masks, others, other_masks, weight, box)
    assert found["outwards"].item() == pytest.approx(outwards, rel=1e-3)
    assert found["inwards"].item() == pytest.approx(inwards, rel=1e-3)


def test_the_box_is_two_thirds_of_each_side_anywhere():
    places = set()
    for seed in range(30):
        torch.manual_seed(seed)
        box = blocks.random_box(torch.zeros(2, 1, 30, 30), 2 / 3)[0, 0]
        rows, columns = (box.any(axis).nonzero().flatten() for axis in (1, 0))
        assert box.sum() == 20 * 20 == len(rows) * len(columns)
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 15
    assert max(row for row, _ in places) > 7
    assert min(row for row, _ in places) < 3


def test_the_teacher_begins_as_the_network_and_moves_only_then(method):
    with torch.no_grad():
        for weight in method.network.parameters():
            weight.add_(1.0)
    before = [weight.clone() for weight in method.teacher.parameters()]
    method.after_step(1)
    assert all(map(torch.equal, before, method.teacher.parameters()))
    assert method.stages() == [0.25]
    method.begin_stage(1, {})
    assert all(map(torch.equal, method.network.parameters(), method.teacher.parameters()))
    assert not any(part.training for part in method.teacher.modules())
    with torch.no_grad():
        for weight in method.network.parameters():
            weight.add_(1.0)
    method.after_step(2)
    for slow, fast in zip(method.teacher.parameters(), method.network.parameters(), strict=True):
        assert torch.allclose(slow, fast - 0.99, atol=1e-5)


def test_more_unlabelled_images_than_labelled_ones_use_these_again(method):
    method.taught = True
    batch = example_batch(BCP.streams, SIDE)
    many = torch.cat([batch[UNLABELED_SEGMENTATION].images] * 3)
    batch = batch.replaced({UNLABELED_SEGMENTATION: many})
    torch.manual_seed(3)
    found = method.losses(batch)
    torch.manual_seed(3)
    assert found["inwards"].item() == pytest.approx(
        method.losses(example_batch(BCP.streams, SIDE))["inwards"].item(), rel=1e-4
    )
