"""Cross pseudo supervision against its formulas, computed plainly."""

from typing import Any

import pytest
import torch
from mmbench.baselines.cps import CPS

from mmbench.methods import LABELED_SEGMENTATION, SEGMENTATION, UNLABELED_SEGMENTATION, Problem
from mmbench.networks.initialisation import build_by_name
from mmbench.protocol.schema import Backbone
from mmbench.testing import built, example_batch

SIDE = 32


@pytest.fixture
def method():
    found: Any = built(CPS, {"ramp": 0.0}, SIDE)
    for network in (found.network, found.second):
        network.eval()  # so that nothing is dropped out
    return found


def test_each_network_learns_the_others_masks(method):
    batch = example_batch(CPS.streams, SIDE)
    found = method.losses(batch)
    images, labeled = batch[UNLABELED_SEGMENTATION].images, batch[LABELED_SEGMENTATION]
    with torch.no_grad():
        first, second = (net.segment(images).double() for net in (method.network, method.second))
        total = 0.0
        for own, other in ((first, second), (second, first)):
            inside = other > 0
            total += -torch.where(inside, own.sigmoid(), 1 - own.sigmoid()).log().mean().item()
        probability = method.second.segment(labeled.images).sigmoid()
    assert found["pseudo_masks"].item() == pytest.approx(0.1 * total, rel=1e-5)
    overlap = 2 * (probability * labeled.masks).sum((1, 2, 3)) + 1
    dice = overlap / (probability.sum((1, 2, 3)) + labeled.masks.sum((1, 2, 3)) + 1)
    assert found["second_dice"].item() == pytest.approx(5 * (1 - dice).mean().item(), rel=1e-5)


def test_both_networks_learn_and_the_first_predicts(method):
    batch = example_batch(CPS.streams, SIDE)
    sum(method.losses(batch).values()).backward()
    for network in (method.network, method.second):
        assert all(weight.grad is not None for weight in network.parameters())
    images = batch[UNLABELED_SEGMENTATION].images
    with torch.no_grad():
        found = method.predict(images, SEGMENTATION).mask_logits
        assert torch.equal(found, method.network.segment(images))


def test_the_networks_start_from_different_weights():
    def build():
        method = CPS()
        method.build(Problem(frozenset(CPS.tasks), Backbone(width=0.25), SIDE))
        return method

    method = build_by_name(build, CPS.modules, 0)
    ones, others = method.network.state_dict(), method.second.state_dict()
    weights = [name for name in others if name.endswith("weight") and ones[name].std() > 0]
    assert len(weights) > 10
    assert not any(torch.equal(ones[name], others[name]) for name in weights)
