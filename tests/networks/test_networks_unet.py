"""The paper's U-Net against its published size and a plain formulation of its forward pass."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from mmbench.networks import build_network
from mmbench.networks.layers import NormalisedLeakyReLU
from mmbench.protocol.schema import Backbone


def network(classify=True, segment=True, bridge="none", width=1.0, depth=5, dropout=0.25, norm="instance"):
    torch.manual_seed(0)
    backbone = Backbone(width=width, depth=depth, dropout=dropout, norm=norm)
    return build_network(backbone, classify=classify, segment=segment, image_size=64, bridge=bridge)


@pytest.mark.parametrize(
    ("classify", "segment", "bridge", "published"),
    [
        (True, True, "both", 1_965_155),
        (True, True, "none", 1_962_851),
        (False, True, "none", 1_962_337),
        (True, False, "none", 1_178_994),
    ],
)
def test_parameter_counts_are_the_published_ones(classify, segment, bridge, published):
    assert sum(p.numel() for p in network(classify, segment, bridge).parameters()) == published


def plain_block(x, weights, prefix):
    for position in ("0", "2"):
        x = functional.conv2d(
            x, weights[f"{prefix}.{position}.weight"], weights[f"{prefix}.{position}.bias"], padding=1
        )
        mean = x.mean((2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        x = torch.where(x > 0, x, 0.2 * x)
    return x


def plain_upsample(x, size):
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("width", [1.0, 0.4, 0.25, 0.0625])
def test_forward_agrees_with_a_plain_formulation(width):
    net = network(bridge="image", width=width).eval()
    # In double precision, so that only the network's own rounding counts.
    w = {key.removeprefix("body."): value.double() for key, value in net.state_dict().items()}
    images = torch.randn(2, 1, 64, 64)
    features = []
    current = x = images.double()
    for level in range(5):
        current = plain_block(
            current if level == 0 else functional.max_pool2d(current, 2), w, f"encoder.{level}"
        )
        features.append(current)
    pooled = functional.max_pool2d(features[4], 2).mean((2, 3))
    logits = pooled @ w["class_head.weight"].T + w["class_head.bias"]
    current = torch.cat([plain_upsample(features[4], 8), features[3], plain_upsample(x, 8)], 1)
    current = plain_block(current, w, "decoder.0")
    for level, skip in enumerate((features[2], features[1], features[0]), start=1):
        current = torch.cat([plain_upsample(current, skip.shape[-1]), skip], 1)
        current = plain_block(current, w, f"decoder.{level}")
    masks = functional.conv2d(current, w["mask_head.weight"], w["mask_head.bias"])
    torch.testing.assert_close(net.classify(images), logits.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.segment(images), masks.float(), atol=1e-5, rtol=1e-5)


def test_first_decoder_stage_takes_386_channels_with_the_bridge_and_384_without():
    assert network(bridge="both").body.decoder[0][0].in_channels == 386
    assert network(bridge="none").body.decoder[0][0].in_channels == 384
    assert network(bridge="saliency").body.decoder[0][0].in_channels == 385
    assert [block[0].in_channels for block in network().body.decoder] == [384, 192, 96, 48]


def test_width_and_depth_scale_the_network():
    narrow = network(width=0.5, depth=3)
    assert [block[0].out_channels for block in narrow.body.encoder] == [8, 16, 32]
    assert narrow.segment(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)


def test_batch_normalisation_takes_the_place_of_instance_normalisation():
    net = network(width=0.5, depth=2, norm="batch").train()
    (first, *_), x = net.body.encoder, torch.randn(3, 1, 16, 16)
    expected = x
    for convolution in (first[0], first[3]):
        expected = functional.conv2d(expected, convolution.weight, padding=1)
        mean, variance = expected.mean((0, 2, 3), keepdim=True), expected.var((0, 2, 3), False, keepdim=True)
        expected = functional.leaky_relu((expected - mean) / (variance + 1e-5).sqrt(), 0.2)
    first[-1].eval()  # no dropout
    assert torch.allclose(first(x), expected, atol=1e-5)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2 * (2 + 1), "two in each block of encoder and decoder"


def test_the_published_norm_is_no_part_of_a_runs_identity():
    assert "norm" not in Backbone().model_dump(mode="json")
    assert Backbone(norm="batch").model_dump(mode="json")["norm"] == "batch"


def test_dropout_acts_in_training_and_not_in_evaluation():
    net = network(width=0.25)
    x = torch.randn(1, 1, 64, 64)
    assert not torch.equal(net.segment(x), net.segment(x))
    net.eval()
    assert torch.equal(net.segment(x), net.segment(x))


@pytest.mark.parametrize("width", [1.0, 0.25, 0.4])
def test_layers_of_whole_vectors_of_channels_compute_channels_last(width):
    net, found = network(bridge="both", width=width), []
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | NormalisedLeakyReLU):
            layer.register_forward_hook(lambda layer, given, out: found.append(out))
    net.segment(torch.randn(2, 1, 64, 64)).sum().backward()
    assert len(found) >= 18
    for features in found:
        assert features.is_contiguous() == (features.shape[1] % 16 > 0)
