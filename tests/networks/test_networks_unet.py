"""The paper's U-Net against its published size and a plain formulation of its forward pass."""

import pytest
import torch
from torch.nn import functional

from mmbench.networks import build_network
from mmbench.networks.layers import Dropout, NormalisedLeakyReLU, halve, resize
from mmbench.protocol.schema import Backbone


def network(classify=True, segment=True, bridge="none", width=1.0, depth=5, dropout=0.25):
    torch.manual_seed(0)
    backbone = Backbone(width=width, depth=depth, dropout=dropout)
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


def test_forward_agrees_with_a_plain_formulation():
    net = network(bridge="image", width=0.25).eval()
    w = {key.removeprefix("body."): value for key, value in net.state_dict().items()}
    x = torch.randn(2, 1, 64, 64)
    features = []
    current = x
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
    torch.testing.assert_close(net.classify(x), logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.segment(x), masks, atol=1e-5, rtol=1e-5)


def test_first_decoder_stage_takes_386_channels_with_the_bridge_and_384_without():
    assert network(bridge="both").body.decoder[0][0].in_channels == 386
    assert network(bridge="none").body.decoder[0][0].in_channels == 384
    assert network(bridge="saliency").body.decoder[0][0].in_channels == 385
    assert [block[0].in_channels for block in network().body.decoder] == [384, 192, 96, 48]


def test_width_and_depth_scale_the_network():
    narrow = network(width=0.5, depth=3)
    assert [block[0].out_channels for block in narrow.body.encoder] == [8, 16, 32]
    assert narrow.segment(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)


def test_dropout_acts_in_training_and_not_in_evaluation():
    net = network(width=0.25)
    x = torch.randn(1, 1, 64, 64)
    assert not torch.equal(net.segment(x), net.segment(x))
    net.eval()
    assert torch.equal(net.segment(x), net.segment(x))


LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


def differentiated(function, features, gradient, twice=False):
    """Return a function's values, its gradient, and the gradient of that gradient's square if wanted."""
    features = features.clone().requires_grad_()
    out = function(features)
    (first,) = torch.autograd.grad(out, features, gradient, create_graph=twice)
    return [out, first, *(torch.autograd.grad(first.square().sum(), features) if twice else ())]


def plain_activation(features):
    return functional.leaky_relu(functional.instance_norm(features), 0.2)


@LAYOUTS
@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (2, 16, 64, 48), (40, 4, 32, 32), (2, 3, 1, 5)])
def test_normalised_leaky_relu_and_its_gradients_are_torchs(shape, layout):
    torch.manual_seed(0)
    x = (torch.randn(shape) * 4 + 2).to(memory_format=layout)
    gradient = torch.randn(shape)
    found = differentiated(NormalisedLeakyReLU(0.2), x, gradient)
    expected = differentiated(plain_activation, x.double(), gradient.double())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-5)
    assert found[0].is_contiguous(memory_format=layout)


@LAYOUTS
def test_normalised_leaky_relu_can_be_differentiated_twice(layout):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn_like(x)
    found = differentiated(NormalisedLeakyReLU(0.2), x, gradient, twice=True)
    for one, other in zip(found, differentiated(plain_activation, x, gradient, twice=True), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@LAYOUTS
@pytest.mark.parametrize("size", [(14, 18), (15, 4), (1, 1)])
def test_resizing_and_its_gradients_are_torchs(size, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 7, 9, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(2, 6, *size, dtype=torch.float64)
    found = differentiated(lambda features: resize(features, size), x, gradient)
    expected = differentiated(lambda features: plain_upsample(features, size), x, gradient)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("width", "channels_last"), [(1.0, True), (0.25, False)])
def test_a_wide_networks_features_lie_channels_last_to_the_end(width, channels_last):
    net, found = network(bridge="both", width=width), []
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | NormalisedLeakyReLU):
            layer.register_forward_hook(lambda layer, given, out: found.append((given[0], out)))
    net.segment(torch.randn(2, 1, 64, 64)).sum().backward()
    assert len(found) > 50
    for features in (features for pair in found for features in pair if features.shape[1] > 1):
        assert features.is_contiguous() != channels_last


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5])
def test_dropout_zeroes_its_share_scales_the_rest_and_is_seeded(rate):
    x = torch.ones(10, 8, 33, 31)
    layer = Dropout(rate)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    assert first.unique().tolist() == pytest.approx([1.0] if rate == 0 else [0.0, 1 / (1 - rate)])
    # 81,840 coins: the share's standard error is below 0.0018.
    assert (first == 0).float().mean().item() == pytest.approx(rate, abs=0.008)
    neighbours = (first[..., 1:] == 0) & (first[..., :-1] == 0)
    assert neighbours.float().mean().item() == pytest.approx(rate**2, abs=0.008)
    assert torch.equal(layer.eval()(x), x)


def test_dropout_passes_the_same_mask_backwards():
    x = torch.ones(2, 3, 8, 8, requires_grad=True)
    out = Dropout(0.25)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 2, 8, 12), (2, 3, 7, 9), (1, 1, 2, 2)])
@LAYOUTS
def test_halving_is_max_pooling_to_the_bit_where_values_tie_too(shape, kind, layout):
    torch.manual_seed(0)
    # Of four values, so that most squares hold their maximum more than once.
    values = torch.randint(0, 4, shape).to(kind, memory_format=layout)
    gradient = torch.randn(shape[0], shape[1], shape[2] // 2, shape[3] // 2).to(kind)
    found = []
    for function in (halve, lambda features: functional.max_pool2d(features, 2)):
        found.append(differentiated(function, values, gradient))
        with torch.no_grad():
            assert torch.equal(function(values), found[-1][0])
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@LAYOUTS
def test_halving_can_be_differentiated_twice(layout):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    found = differentiated(lambda features: halve(features).square(), x, gradient, twice=True)
    plain = differentiated(
        lambda features: functional.max_pool2d(features, 2).square(), x, gradient, twice=True
    )
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other)
