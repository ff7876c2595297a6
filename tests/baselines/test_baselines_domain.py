"""GIN-IPA, MixStyle, FDA and SWAD against their formulas."""

import math

import numpy as np
import pytest
import torch
from mmbench.baselines.fda import FDA
from mmbench.baselines.gin_ipa import GINIPA, divergence
from mmbench.baselines.mixstyle import MixStyle, mixed
from mmbench.baselines.swad import SWAD
from torch import nn

from mmbench.methods import LABELED_SEGMENTATION, Prediction
from mmbench.protocol.recipes import changed_training
from mmbench.protocol.schema import Training
from mmbench.testing import built, example_batch

IMAGES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(5)) * 2 - 1


def test_a_look_is_as_bright_as_the_image_and_of_no_other_image():
    method = built(GINIPA, {})
    torch.manual_seed(1)
    together = method.filtered(IMAGES)
    norms = together.flatten(1).norm(dim=1) / IMAGES.flatten(1).norm(dim=1)
    assert torch.allclose(norms, torch.ones(3), atol=1e-3)
    changed = IMAGES.clone()
    changed[1:] = 0.3
    torch.manual_seed(1)
    assert torch.allclose(method.filtered(changed)[0], together[0], atol=1e-5)
    assert not torch.allclose(together[0], IMAGES[0], atol=0.05)


def test_a_random_network_by_hand():
    """One layer: a convolution with a kernel and a shift of each image's own, mixed with the image."""
    method = built(GINIPA, {"layers": 1})
    torch.manual_seed(4)
    found = method.filtered(IMAGES)
    torch.manual_seed(4)
    side = 1 + 2 * int(torch.randint(2, ()))
    kernel, shift = torch.randn(3, 1, side, side), torch.randn(3)
    share = torch.rand(3, 1, 1, 1)
    for image in range(3):
        padded = nn.functional.pad(IMAGES[image, 0], [side // 2] * 4)
        filtered = torch.zeros(16, 16)
        for row in range(16):
            for column in range(16):
                filtered[row, column] = (
                    padded[row : row + side, column : column + side] * kernel[image, 0]
                ).sum()
        mixed = share[image, 0] * (filtered + shift[image]) + (1 - share[image, 0]) * IMAGES[image, 0]
        expected = mixed * IMAGES[image].norm() / mixed.norm()
        assert torch.allclose(found[image, 0], expected, atol=1e-3)


def test_both_looks_are_blended_by_a_map_and_its_complement(monkeypatch):
    method = built(GINIPA, {})
    outputs = iter([torch.ones_like(IMAGES), torch.zeros_like(IMAGES)])
    monkeypatch.setattr(method, "filtered", lambda images: next(outputs))
    first, second = method.looks(IMAGES)
    assert torch.allclose(first + second, torch.ones_like(IMAGES), atol=1e-6)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.1
    assert (first[:, :, 1:] - first[:, :, :-1]).abs().max() < 0.5  # smooth


def test_the_divergence_is_that_of_jensen_and_shannon():
    one, other = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.4, 0.6]])
    mean = [0.65, 0.35]
    expected = 0.0
    for pair in ((0.9, 0.1), (0.4, 0.6)):
        expected += sum(p * math.log(p / m) for p, m in zip(pair, mean, strict=True)) / 2
    assert divergence(one, other).item() == pytest.approx(expected, rel=1e-4)
    assert divergence(one, one).item() == pytest.approx(0, abs=1e-6)


def test_mixed_features_have_mixed_statistics():
    features = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    features.requires_grad_(True)
    stage = nn.Identity()
    torch.manual_seed(2)
    found = mixed(stage, None, features, probability=1.0, alpha=0.5)
    torch.manual_seed(2)
    torch.rand(())
    share = torch.distributions.Beta(0.5, 0.5).sample((4, 1, 1, 1)).flatten()
    order = torch.randperm(4)
    for image in range(4):
        for channel in range(2):
            own, other = features[image, channel], features[order[image], channel]
            mean = share[image] * own.mean() + (1 - share[image]) * other.mean()
            deviation = share[image] * own.std() + (1 - share[image]) * other.std()
            assert found[image, channel].mean().item() == pytest.approx(mean.item(), abs=1e-4)
            assert found[image, channel].std().item() == pytest.approx(deviation.item(), rel=1e-4)


def test_features_are_mixed_in_training_alone_and_as_often_as_said():
    stage, features = nn.Identity(), torch.randn(4, 2, 8, 8)
    torch.manual_seed(0)
    changed = sum(
        mixed(stage, None, features, probability=0.5, alpha=0.1) is not features for _ in range(400)
    )
    assert 160 < changed < 240
    stage.eval()
    assert mixed(stage, None, features, probability=1.0, alpha=0.1) is features
    method = built(MixStyle, {"probability": 1.0})
    method.network.eval()
    images = example_batch(MixStyle.streams)[LABELED_SEGMENTATION].images
    assert torch.equal(method.network.segment(images), method.network.segment(images))


def test_low_amplitudes_are_the_targets_against_numpy():
    method, targets = built(FDA, {"beta": 0.15}), IMAGES.flip(0) * 0.5 + 0.2
    found = method.styled(IMAGES, targets)
    reach = int(16 * 0.15)
    for image in range(3):
        source, target = (np.fft.fft2(x[image, 0].double().numpy()) for x in (IMAGES, targets))
        amplitude, wanted = np.fft.fftshift(np.abs(source)), np.fft.fftshift(np.abs(target))
        middle = 8
        low = slice(middle - reach, middle + reach + 1)
        amplitude[low, low] = wanted[low, low]
        expected = np.real(np.fft.ifft2(np.fft.ifftshift(amplitude) * np.exp(1j * np.angle(source))))
        assert np.allclose(found[image, 0].numpy(), expected, atol=1e-4)


def test_the_published_share_changes_the_mean_of_small_images_alone():
    method, targets = built(FDA, {}), IMAGES.abs() + 0.5
    found = method.styled(IMAGES.abs(), targets)
    assert torch.allclose(found.mean((2, 3)), targets.mean((2, 3)), atol=1e-4)
    assert torch.allclose(
        found - found.mean((2, 3), keepdim=True),
        IMAGES.abs() - IMAGES.abs().mean((2, 3), keepdim=True),
        atol=1e-4,
    )


def test_robust_entropy_by_hand():
    method = built(FDA, {"power": 2.0})
    logits = torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    share = 1 / (1 + math.exp(-3))
    entropy = -(share * math.log(share) + (1 - share) * math.log(1 - share)) / math.log(2)
    expected = (1.0**4 + (entropy**2 + 1e-8) ** 2) / 2
    found = method.robust_entropy(Prediction(class_logits=logits), 2)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_swad_is_a_setting_of_training_under_every_recipe():
    found = changed_training(Training(ema=0.99), SWAD.training)
    assert (found.ema, found.swad.converge, found.swad.tolerance, found.swad.ratio) == (None, 3, 6, 0.3)
