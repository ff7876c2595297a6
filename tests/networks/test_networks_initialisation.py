"""Initial weights depend on the seed and on a layer's name and shape, on nothing else."""

import pytest
import torch
from torch import nn

from mmbench.networks.build import build_network
from mmbench.networks.initialisation import build_by_name
from mmbench.protocol.schema import Backbone
from mmbench.randomness import derive_seed

BACKBONES = [
    "paper_unet",
    "smp:unet/resnet18",
    "smp:fpn/convnext_atto",
    "smp:segformer/mit_b0",
    "smp:unet/pvt_v2_b0",
    "smp:deeplabv3plus/mobilenetv3_small_100",
]
WIDENED = "body.decoder.0.0."


def weights(backbone, seed=7, **heads):
    def build():
        return build_network(Backbone(name=backbone), image_size=64, **heads)

    return build_by_name(build, lambda network: {"network": network}, seed).state_dict()


@pytest.mark.parametrize("name", BACKBONES)
def test_what_else_is_built_changes_no_layer(name):
    whole = weights(name, classify=True, segment=True, bridge="both")
    for heads in (
        {"classify": True, "segment": False},
        {"classify": False, "segment": True},
        {"classify": True, "segment": True},
    ):
        part = weights(name, **heads)
        # The bridge widens one convolution of the paper's network; its bias is scaled by the width.
        widened = WIDENED if name == "paper_unet" else ()
        common = [layer for layer in part.keys() & whole.keys() if not layer.startswith(widened)]
        assert len(common) > 10
        for layer in common:
            assert torch.equal(part[layer], whole[layer]), layer


@pytest.mark.parametrize("name", BACKBONES)
def test_a_seed_gives_the_same_weights_again_and_another_seed_others(name):
    heads = {"classify": True, "segment": True}
    one, again, other = weights(name, **heads), weights(name, **heads), weights(name, seed=8, **heads)
    for layer, values in one.items():
        assert torch.equal(values, again[layer]), layer
    drawn = [
        layer for layer, values in one.items() if values.is_floating_point() and len(values.unique()) > 1
    ]
    assert len(drawn) > 10
    for layer in drawn:
        assert not torch.equal(one[layer], other[layer]), layer


class Sized(nn.Module):
    """Two equal layers, in either order, a frozen matrix and a scaled embedding."""

    def __init__(self, reverse=False, more=False):
        super().__init__()
        names = ["first", "second"]
        if more:
            self.more = nn.Linear(5, 5)
        for name in names[::-1] if reverse else names:
            setattr(self, name, nn.Linear(4, 3))
        self.register_buffer("matrix", torch.randn(4, 4))
        self.embedding = nn.Parameter(torch.randn(2, 3) * 0.02)
        self.turned = nn.init.orthogonal_(nn.Parameter(torch.empty(3, 3)))


def sized(**options):
    return build_by_name(lambda: Sized(**options), lambda one: {"net": one}, 3)


def test_the_order_of_building_does_not_matter():
    one, other, more = sized().state_dict(), sized(reverse=True).state_dict(), sized(more=True).state_dict()
    for layer, values in one.items():
        assert torch.equal(values, other[layer]), layer
        assert torch.equal(values, more[layer]), layer
    assert not torch.equal(one["first.weight"], one["second.weight"])
    turned = one["turned"]
    torch.testing.assert_close(turned @ turned.T, torch.eye(3))


def test_a_layers_weights_are_those_of_its_own_scheme_and_seed():
    """nn.Linear draws its weight and bias from U(-1/sqrt(n), 1/sqrt(n)), here n = 4."""
    found = sized().state_dict()
    torch.manual_seed(derive_seed(3, "initial weights", "network.first.weight", 3, 4, 1))
    expected = torch.empty(3, 4).uniform_(-0.5, 0.5)
    assert torch.equal(found["first.weight"], expected)


def test_only_further_networks_are_known_by_their_names():
    def pair(first, second):
        return build_by_name(lambda: {first: nn.Linear(4, 3), second: nn.Linear(4, 3)}, dict, 0)

    one, other = pair("network", "second"), pair("student", "teacher")
    assert torch.equal(one["network"].weight, other["student"].weight)
    assert not torch.equal(one["network"].weight, one["second"].weight)
    assert not torch.equal(one["second"].weight, other["teacher"].weight)


def test_what_draws_nothing_is_built_once():
    built = []

    def build():
        built.append(1)
        return nn.Identity()

    build_by_name(build, lambda one: {"net": one}, 0)
    assert built == [1]
