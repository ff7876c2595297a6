"""TENT against its formulas, and what it may change."""

import copy

import pytest
import torch
from mmbench.baselines.tent import Tent
from torch import nn

from mmbench.errors import PluginError
from mmbench.methods import CLASSIFICATION, SEGMENTATION, Prediction, Problem, blocks
from mmbench.protocol.schema import Backbone

SIDE = 32


def adapting(task, backbone="smp:unet/resnet18"):
    torch.manual_seed(0)
    method = Tent()
    method.build(Problem(frozenset(Tent.tasks), Backbone(name=backbone), SIDE))
    method.network.eval()
    before = copy.deepcopy(method.network.state_dict())
    method.begin_adaptation(task)
    return method, before


def test_entropy_is_that_of_classes_or_of_pixels():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    share = logits.exp() / logits.exp().sum(1, keepdim=True)
    expected = -(share * share.log()).sum(1).mean()
    assert blocks.entropy(Prediction(class_logits=logits)).item() == pytest.approx(expected.item(), rel=1e-5)
    chance = 1 / (1 + (-logits).exp())
    expected = -(chance * chance.log() + (1 - chance) * (1 - chance).log()).mean()
    found = blocks.entropy(Prediction(mask_logits=logits[None, None]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("task", [CLASSIFICATION, SEGMENTATION])
def test_only_the_affine_weights_of_batch_normalisation_move_and_entropy_falls(task):
    method, before = adapting(task)
    images = torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    entropies = []
    for _ in range(6):
        method.adapt(images, task)
        with torch.no_grad():
            entropies.append(blocks.entropy(method.predict(images, task)).item())
    assert entropies == sorted(entropies, reverse=True)
    norms = {
        f"{name}.{weight}"
        for name, layer in method.network.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
        for weight in ("weight", "bias")
    }
    after = method.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert changed <= norms


def test_the_batchs_own_statistics_count():
    method, _ = adapting(CLASSIFICATION)
    seen = {}
    layer = next(layer for layer in method.network.modules() if isinstance(layer, nn.BatchNorm2d))
    layer.register_forward_hook(lambda layer, given, found: seen.update(given=given[0], found=found + 0))
    with torch.no_grad():
        method.predict(torch.rand(4, 1, SIDE, SIDE), CLASSIFICATION)
    mean, variance = seen["given"].mean((0, 2, 3)), seen["given"].var((0, 2, 3), unbiased=False)
    plain = (seen["given"] - mean[:, None, None]) / (variance[:, None, None] + layer.eps).sqrt()
    assert seen["found"] == pytest.approx(plain.numpy(), abs=1e-4)


def test_backbones_without_batch_normalisation_are_refused():
    assert "paper_unet has no batch normalisation" in Tent.skip(
        Problem(frozenset(Tent.tasks), Backbone(), SIDE)
    )
    for backbone in (Backbone(norm="batch"), Backbone(name="smp:unet/resnet18")):
        assert Tent.skip(Problem(frozenset(Tent.tasks), backbone, SIDE)) is None
    with pytest.raises(PluginError, match="the backbone has no batch normalisation to adapt"):
        blocks.normalise_by_batch(nn.Sequential(nn.Conv2d(1, 1, 1), nn.InstanceNorm2d(1, affine=True)))
