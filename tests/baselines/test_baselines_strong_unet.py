"""The strong U-Net: its loss at each stage, its augmentation, its mirrored predictions."""

import math

import pytest
import torch
from mmbench.baselines import strong_unet
from mmbench.baselines.strong_unet import StrongUNet, augmented

from mmbench.methods import CLASSIFICATION, LABELED_SEGMENTATION, SEGMENTATION, Problem
from mmbench.protocol.schema import Backbone
from mmbench.testing import built, example_batch
from mmbench.testing.examples import built_on

SIDE = 32


def plain_loss(logits, masks):
    """Return (Dice loss + cross-entropy) / 2, one image and one pixel at a time."""
    dice = entropy = 0.0
    for image in range(len(logits)):
        overlap = size = 0.0
        for logit, inside in zip(
            logits[image].flatten().tolist(), masks[image].flatten().tolist(), strict=True
        ):
            probability = 1 / (1 + math.exp(-logit))
            overlap += probability * inside
            size += probability + inside
            entropy -= math.log(probability if inside else 1 - probability) / masks.numel()
        dice += (1 - (2 * overlap + 1) / (size + 1)) / len(logits)
    return (dice + entropy) / 2


def test_every_stage_is_supervised_the_coarser_the_less(monkeypatch):
    monkeypatch.setattr(strong_unet, "augmented", lambda images, masks, rotation: (images, masks))
    method = built(StrongUNet, {"dice_weight": 1.0}, SIDE)
    method.network.eval()
    batch = example_batch(StrongUNet.streams, SIDE)
    found = method.losses(batch)["deep"].item()
    labeled = batch[LABELED_SEGMENTATION]
    body = method.network.body
    seen = []
    hooks = [
        block.register_forward_hook(lambda block, given, out: seen.append(out)) for block in body.decoder
    ]
    with torch.no_grad():
        logits = [method.network.segment(labeled.images)]
        for place in (2, 1, 0):  # from fine to coarse
            logits.append(method.heads[place](seen[place]))
    for hook in hooks:
        hook.remove()
    total = 0.0
    for stage, one in enumerate(logits):
        side = SIDE // 2**stage
        assert one.shape[-1] == side
        share = labeled.masks.reshape(4, 1, side, 2**stage, side, 2**stage).mean((3, 5))
        total += 0.5**stage * plain_loss(one, (share >= 0.5).float())
    assert found == pytest.approx(total / (1 + 0.5 + 0.25 + 0.125), rel=1e-3)


def test_without_deep_supervision_the_last_stage_alone_counts(monkeypatch):
    monkeypatch.setattr(strong_unet, "augmented", lambda images, masks, rotation: (images, masks))
    method = built(StrongUNet, {"dice_weight": 1.0, "deep_supervision": False}, SIDE)
    method.network.eval()
    batch = example_batch(StrongUNet.streams, SIDE)
    labeled = batch[LABELED_SEGMENTATION]
    with torch.no_grad():
        expected = plain_loss(method.network.segment(labeled.images), labeled.masks)
    assert method.losses(batch)["deep"].item() == pytest.approx(expected, rel=1e-3)


def test_predictions_of_mirror_images_are_mirror_images():
    method = built(StrongUNet, {})
    method.network.eval()
    images = example_batch(StrongUNet.streams)[LABELED_SEGMENTATION].images
    with torch.no_grad():
        masks, mirrored = (
            method.predict(given, SEGMENTATION).mask_logits for given in (images, images.flip(-1))
        )
        classes = method.predict(images, CLASSIFICATION).class_logits
        plain = (method.network.classify(images) + method.network.classify(images.flip(-1))) / 2
    assert torch.allclose(masks, mirrored.flip(-1), atol=1e-5)
    assert torch.allclose(classes, plain, atol=1e-5)


def test_masks_move_with_their_images():
    """Images that are their masks, and nothing but moved: afterwards they still are."""
    masks = torch.zeros(64, 1, SIDE, SIDE)
    masks[:, :, 6:20, 4:15] = 1.0
    torch.manual_seed(0)
    images, moved = augmented(masks * 2 - 1, masks, rotation=30.0)
    inside = torch.stack([images[n][moved[n] > 0].mean() for n in range(64)])
    outside = torch.stack([images[n][moved[n] == 0].mean() for n in range(64)])
    assert (inside > outside + 0.8).all()
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    mirrored = sum(torch.equal(moved[n], masks[n].flip(-1)) for n in range(64))
    still = sum(torch.equal(moved[n], masks[n]) for n in range(64))
    assert mirrored > 8  # about a third: mirrored, and neither turned nor scaled
    assert still > 8
    assert mirrored + still < 60
    assert images.min() >= -1
    assert images.max() <= 1


def test_nothing_turns_by_more_than_was_said():
    """A point on the vertical axis, away from the centre, moves sideways as far as the angle lets it."""
    masks = torch.zeros(400, 1, 64, 64)
    masks[:, :, 2:4, 31:33] = 1.0
    torch.manual_seed(1)
    _, moved = augmented(masks, masks, rotation=10.0)
    columns = [moved[n, 0].nonzero()[:, 1].float().mean() for n in range(400) if moved[n].any()]
    largest = max(abs(float(column) - 31.5) for column in columns)
    assert 2.0 < largest <= 29 * 1.4 * math.sin(math.radians(10)) + 1.5


def test_a_decoder_of_another_library_has_stages_too():
    problem = Problem(frozenset(StrongUNet.tasks), Backbone(name="smp:unet/test_efficientnet"), 64)
    method = built_on(StrongUNet, {}, problem)
    assert [head.in_channels for head in method.heads] == [256, 128, 64, 32]
    batch = example_batch(StrongUNet.streams, 64)
    assert method.losses(batch)["deep"].isfinite()
