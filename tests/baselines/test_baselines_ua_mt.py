"""UA-MT against its formulas, computed one pixel at a time."""

import math

import pytest
import torch
from mmbench.baselines.ua_mt import UAMT

from mmbench.methods import UNLABELED_SEGMENTATION
from mmbench.testing import built, example_batch
from mmbench.testing.examples import built_on, example_problem


@pytest.fixture
def method():
    torch.manual_seed(0)
    return built(UAMT, {"ramp": 0.5, "passes": 3})


def test_the_threshold_rises_from_three_quarters_to_the_largest_entropy(method):
    assert method.ramp_steps == 500
    assert method.threshold(500) == pytest.approx(math.log(2))
    assert method.threshold(250) == pytest.approx((0.75 + 0.25 * math.exp(-5 / 4)) * math.log(2))


def test_uncertainty_is_the_entropy_of_the_mean_of_several_passes(method, monkeypatch):
    passes = [torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0.7, 0.5, 0.1]), torch.tensor([0.8, 0.5, 0.0])]
    given = iter(passes)
    monkeypatch.setattr(method.teacher, "segment", lambda images: torch.logit(next(given)))
    found = method.uncertainty(torch.zeros(3))
    for pixel, mean in enumerate((0.8, 0.5, 0.1)):
        expected = -mean * math.log(mean) - (1 - mean) * math.log(1 - mean)
        assert found[pixel].item() == pytest.approx(expected, rel=1e-4)


def test_passes_drop_features_out_and_the_target_does_not(method):
    images = example_batch(UAMT.streams)[UNLABELED_SEGMENTATION].images
    modes = []
    segment = method.teacher.segment

    def watched(given):
        modes.append(any(part.training for part in method.teacher.modules()))
        return segment(given)

    method.teacher.segment = watched
    method.mask_distance(images, 1)
    assert modes == [False, True, True, True]
    assert not any(part.training for part in method.teacher.modules())


def test_only_certain_pixels_count(method, monkeypatch):
    images = example_batch(UAMT.streams)[UNLABELED_SEGMENTATION].images
    uncertain = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(method, "uncertainty", lambda given: uncertain)
    monkeypatch.setattr(method, "threshold", lambda step: 0.3)
    method.network.eval()
    torch.manual_seed(2)
    found = method.mask_distance(images, 1).item()
    torch.manual_seed(2)
    noisy = images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2)
    with torch.no_grad():
        pixels, targets = (
            net.sigmoid() for net in (method.network.segment(images), method.teacher.segment(noisy))
        )
    counted = [
        (one - other) ** 2
        for one, other, doubt in zip(
            pixels.flatten().tolist(), targets.flatten().tolist(), uncertain.flatten().tolist(), strict=True
        )
        if doubt < 0.3
    ]
    assert found == pytest.approx(sum(counted) / len(counted), rel=1e-3)


def test_consistency_counts_from_the_first_step():
    method = built_on(UAMT, {}, example_problem(UAMT))
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.05)
    found = method.losses(example_batch(UAMT.streams, views=UAMT.views))
    assert found["mask_consistency"] > 0
    assert found["class_consistency"] > 0
