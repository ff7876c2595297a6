"""MTPSL against its formulas, computed one image at a time."""

import math

import pytest
import torch
from mmbench.baselines.mtpsl import MTPSL

from mmbench.methods import LABELED_CLASSIFICATION, LABELED_SEGMENTATION
from mmbench.testing import built, example_batch


def distance(one, other):
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return 1 - dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def test_labels_of_one_task_meet_predictions_of_the_other():
    method = built(MTPSL, {"consistency_weight": 2.0, "feature_weight": 0.5})
    method.network.eval()
    batch = example_batch(MTPSL.streams)
    found = method.losses(batch)
    images, labels = batch[LABELED_CLASSIFICATION].images, batch[LABELED_CLASSIFICATION].labels
    segmented, masks = batch[LABELED_SEGMENTATION].images, batch[LABELED_SEGMENTATION].masks
    between = near = 0.0
    with torch.no_grad():
        for image in range(4):
            known = torch.eye(2)[labels[image]][None]
            guessed = method.network.segment(images[image : image + 1]).sigmoid()
            features = method.network.body.encode(images[image : image + 1])[-1].mean((2, 3))[0].tolist()
            one, other = method.maps["class"](known)[0].tolist(), method.maps["mask"](guessed)[0].tolist()
            between += distance(one, other) / 4
            near += (distance(one, features) + distance(other, features)) / 4

            guessed = method.network.classify(segmented[image : image + 1]).softmax(1)
            features = method.network.body.encode(segmented[image : image + 1])[-1].mean((2, 3))[0].tolist()
            one = method.maps["class"](guessed)[0].tolist()
            other = method.maps["mask"](masks[image : image + 1])[0].tolist()
            between += distance(one, other) / 4
            near += (distance(one, features) + distance(other, features)) / 4
    for name, value in super(MTPSL, method).losses(batch).items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5)
    assert found["task_consistency"].item() == pytest.approx(2.0 * between, rel=1e-3)
    assert found["feature_distance"].item() == pytest.approx(0.5 * near, rel=1e-3)


def test_maps_and_network_learn_from_both():
    method = built(MTPSL, {})
    found = method.losses(example_batch(MTPSL.streams))
    for name in ("task_consistency", "feature_distance"):
        for part in (method.maps["class"], method.maps["mask"], method.network.body.encoder):
            weights = list(part.parameters())
            slopes = torch.autograd.grad(found[name], weights, retain_graph=True, allow_unused=True)
            assert any(slope is not None and slope.abs().sum() > 0 for slope in slopes)
