"""Backbones from segmentation-models-pytorch and timm, bridge and class head included."""

import hashlib
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from mmbench.errors import ProtocolError
from mmbench.networks.build import build_network, check_backbone
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
    assert isinstance(mix, torch.Tensor)
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
    backbone = Backbone(name="smp:unet/resnet18")
    net = build_network(backbone, classify=False, segment=True, image_size=64, bridge="both")
    mix: Any = net.body.bridge_mix
    channels, extra = mix.out_channels, mix.in_channels - mix.out_channels
    assert extra == 2
    features = torch.randn(1, channels, 4, 4)
    torch.testing.assert_close(mix(torch.cat([features, torch.zeros(1, extra, 4, 4)], 1)), features)


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


@pytest.fixture
def weights(tmp_path):
    """A file of weights as timm saves them: three input channels, a classifier of a thousand classes."""
    torch.manual_seed(1)
    model = timm.create_model("resnet18")
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors", model.state_dict()


def from_file(path, **others):
    backbone = Backbone(name="smp:unet/resnet18", pretrained=str(path), **others)
    return build_network(backbone, classify=True, segment=True, image_size=64)


def test_a_local_file_of_weights_is_where_the_encoder_starts(weights):
    path, state = weights
    found = from_file(path).body.encoder.state_dict()
    assert torch.equal(found["model.layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    # One channel gets the sum of three, so that a grey image has the features of its grey copy in three.
    torch.testing.assert_close(found["model.conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))


def test_the_file_must_be_the_one_that_is_meant(weights, tmp_path):
    path, _ = weights
    digest = check_backbone(Backbone(name="smp:unet/resnet18", pretrained=str(path)), 64)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    from_file(path, digest=digest)
    with pytest.raises(ProtocolError, match=f"the sha256 is {digest}, not {'0' * 64}"):
        from_file(path, digest="0" * 64)
    with pytest.raises(ProtocolError, match=r"gone.safetensors: no such file of weights"):
        from_file(tmp_path / "gone.safetensors")
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(ProtocolError, match=r"lacks \d+ of the \d+ weights of smp:unet/resnet18"):
        from_file(path)


def test_weights_of_timm_are_known_by_their_values(monkeypatch):
    """Another version of timm may have others under the same name."""

    def installed(seed):
        def create(*args, encoder_weights, **options):
            assert encoder_weights is True
            torch.manual_seed(seed)
            return real(*args, encoder_weights=None, **options)

        monkeypatch.setattr(smp, "create_model", create)

    assert check_backbone(Backbone(name="smp:unet/resnet18"), 64) == ""
    real = smp.create_model
    backbone = Backbone(name="smp:unet/resnet18", pretrained=True)
    installed(1)
    digest = check_backbone(backbone, 64)
    meant = backbone.model_copy(update={"digest": digest})
    assert check_backbone(meant, 64) == digest
    installed(2)
    with pytest.raises(ProtocolError, match=f"ImageNet weights of .* here: the sha256 is .*, not {digest}"):
        check_backbone(meant, 64)
