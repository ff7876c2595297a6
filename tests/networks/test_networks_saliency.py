"""The saliency bridge: its values, and that it leaves nothing behind."""

import pytest
import torch

from mmbench.networks import build_network
from mmbench.networks.saliency import bridge_input, saliency_map
from mmbench.protocol.schema import Backbone


@pytest.fixture
def net():
    torch.manual_seed(0)
    return build_network(
        Backbone(width=0.25, depth=3), classify=True, segment=True, image_size=16, bridge="both"
    )


def test_map_is_the_numerical_derivative_of_the_largest_logit(net):
    net.double().eval()
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    winner = net.classify(x).argmax(1)
    found = saliency_map(net, x)
    step = 1e-6
    for row, column in [(0, 0), (3, 7), (8, 8), (15, 2)]:
        up, down = x.clone(), x.clone()
        up[0, 0, row, column] += step
        down[0, 0, row, column] -= step
        slope = (net.classify(up)[0, winner] - net.classify(down)[0, winner]) / (2 * step)
        assert found[0, 0, row, column].item() == pytest.approx(abs(slope.item()), rel=1e-3, abs=1e-9)


def test_each_image_has_its_own_map_whatever_its_batch(net):
    x = torch.randn(3, 1, 16, 16)
    apart = torch.cat([saliency_map(net, image[None]) for image in x])
    torch.testing.assert_close(saliency_map(net, x), apart)


def test_no_gradient_and_no_change_of_mode_is_left_behind(net):
    net.train()
    net.body.encoder[1].eval()
    before = {name: module.training for name, module in net.named_modules()}
    x = torch.randn(2, 1, 16, 16)
    found = saliency_map(net, x)
    assert all(p.grad is None for p in net.parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert {name: module.training for name, module in net.named_modules()} == before
    assert not found.requires_grad
    assert not x.requires_grad


def test_existing_gradients_are_untouched(net):
    net.segment(torch.randn(1, 1, 16, 16)).sum().backward()
    before = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    saliency_map(net, torch.randn(2, 1, 16, 16))
    for parameter, gradient in zip(net.parameters(), before, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            assert torch.equal(parameter.grad, gradient)


def test_segmentation_loss_reaches_no_classification_weight_through_the_bridge(net):
    net.segment(torch.randn(2, 1, 16, 16)).sum().backward()
    assert net.body.class_head.weight.grad is None


def test_map_is_made_without_dropout_even_in_training(net):
    net.train()
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(saliency_map(net, x), saliency_map(net, x))


def test_works_without_gradients_and_modes_come_back_after_an_error(net):
    with torch.no_grad():
        assert saliency_map(net, torch.randn(1, 1, 16, 16)).sum() > 0
    net.train()
    with pytest.raises(RuntimeError):
        saliency_map(net, torch.randn(1, 3, 16, 16))
    assert all(module.training for module in net.modules())


def test_minmax_stretches_each_map_to_the_unit_interval(net):
    found = saliency_map(net, torch.randn(3, 1, 16, 16), scale="minmax")
    assert found.amin((1, 2, 3)).tolist() == [0, 0, 0]
    torch.testing.assert_close(found.amax((1, 2, 3)), torch.ones(3))


def test_bridge_inputs():
    images, saliency = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    assert torch.equal(bridge_input(images, saliency, "both"), torch.cat([saliency, images], 1))
    assert torch.equal(bridge_input(images, None, "image"), images)
    assert torch.equal(bridge_input(images, saliency, "saliency"), saliency)
    shuffled = bridge_input(images, saliency, "shuffled")
    assert torch.equal(shuffled[:, 1:], images)
    assert not torch.equal(shuffled[:, :1], saliency)
    assert torch.equal(shuffled[:, 0].flatten(1).sort(1).values, saliency.flatten(1).sort(1).values)
    assert torch.equal(shuffled, bridge_input(images, saliency, "shuffled"))
