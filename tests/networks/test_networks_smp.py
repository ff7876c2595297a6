"""Backbones from segmentation-models-pytorch and timm, bridge and class head included."""

import pytest
import torch

from mmbench.errors import ProtocolError
from mmbench.networks.build import build_network, check_backbone
from mmbench.networks.smp import _identity_mix
from mmbench.protocol.schema import Backbone

COMBINATIONS = [
    "smp:unet/resnet18",
    "smp:deeplabv3plus/mobilenetv3_small_100",
    "smp:fpn/convnext_atto",
    "smp:segformer/mit_b0",
    "smp:unet/pvt_v2_b0",
]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_both_heads_and_the_bridge_train(name):
    torch.manual_seed(0)
    net = build_network(
        Backbone(name=name), classify=True, segment=True, image_size=64, num_classes=2, bridge="both"
    )
    x = torch.randn(2, 1, 64, 64)
    logits, masks = net.classify(x), net.segment(x)
    assert logits.shape == (2, 2)
    assert masks.shape == (2, 1, 64, 64)
    (logits.sum() + masks.square().mean()).backward()
    mix = net.body.bridge_mix.weight
    assert mix.grad is not None
    assert mix.grad[:, -2:].abs().sum() > 0
    without = [n for n, p in net.named_parameters() if p.grad is None]
    assert not [n for n in without if n.startswith(("body.class_head", "body.decoder", "body.mask_head"))]


def test_parts_that_no_head_needs_are_left_out():
    enc = build_network(Backbone(name="smp:unet/resnet18"), classify=True, segment=False, image_size=64)
    assert not hasattr(enc.body, "decoder")
    assert not hasattr(enc.body, "mask_head")
    seg = build_network(Backbone(name="smp:unet/resnet18"), classify=False, segment=True, image_size=64)
    assert not hasattr(seg.body, "class_head")


def test_bridge_mix_starts_as_the_identity_on_the_features():
    mix = _identity_mix(5, 2)
    features = torch.randn(1, 5, 4, 4)
    torch.testing.assert_close(mix(torch.cat([features, torch.zeros(1, 2, 4, 4)], 1)), features)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smp:unett/resnet18", "unknown decoder 'unett'; did you mean 'unet'?"),
        ("smp:unet/resnet181", "unknown encoder 'resnet181'; did you mean 'resnet18'?"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(name, message):
    with pytest.raises(ProtocolError, match="^" + message.replace("?", r"\?")):
        build_network(Backbone(name=name), classify=True, segment=True, image_size=64)


def test_a_size_that_the_network_does_not_take_is_told():
    with pytest.raises(ProtocolError, match=r"^smp:pan/resnet18 does not take"):
        check_backbone(Backbone(name="smp:pan/resnet18"), 64)


def test_weights_that_cannot_be_had_come_with_instructions(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    backbone = Backbone(name="smp:unet/resnet18", pretrained=True)
    with pytest.raises(ProtocolError, match=r"cannot be downloaded; .*HF_HOME.* or set pretrained: false"):
        build_network(backbone, classify=True, segment=True, image_size=64)
