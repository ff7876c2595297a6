"""The layers of the paper's network against PyTorch's, in both layouts."""

import pytest
import torch
from torch.nn import functional

from mmbench.networks.layers import Dropout, NormalisedLeakyReLU, convolve, halve, resize, to_mask

LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


def differentiated(function, features, gradient, twice=False):
    """Return a function's values, its gradient, and the gradient of that gradient's square if wanted."""
    features = features.clone().requires_grad_()
    out = function(features)
    (first,) = torch.autograd.grad(out, features, gradient, create_graph=twice)
    return [out, first, *(torch.autograd.grad(first.square().sum(), features) if twice else ())]


def plain_activation(features):
    return functional.leaky_relu(functional.instance_norm(features), 0.2)


def plain_upsample(x, size):
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


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
def test_normalised_leaky_relu_survives_a_first_row_unlike_the_rest(layout):
    torch.manual_seed(0)
    x = torch.randn(2, 16, 128, 16)
    x[:, :, 0] = 300  # as a bright border would make it: eleven standard deviations off
    x = x.to(memory_format=layout)
    found = differentiated(NormalisedLeakyReLU(0.2), x, torch.ones_like(x))
    expected = plain_activation(x.double())
    torch.testing.assert_close(found[0].double(), expected, atol=1e-5, rtol=1e-5)


@LAYOUTS
@pytest.mark.parametrize("twice", [False, True])
def test_normalisation_with_dropout_is_normalisation_then_dropout(twice, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 16, 12, 10, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn_like(x)

    def seeded(features):
        torch.manual_seed(3)
        return NormalisedLeakyReLU(0.2, 0.25)(features)

    kept = seeded(x) != 0
    assert 0.65 < kept.double().mean() < 0.85
    found = differentiated(seeded, x, gradient, twice)
    expected = differentiated(lambda features: plain_activation(features) * kept / 0.75, x, gradient, twice)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)
    layer = NormalisedLeakyReLU(0.2, 0.25).eval()
    torch.testing.assert_close(layer(x), plain_activation(x))


def test_layers_in_bfloat16_are_those_in_float32_but_for_rounding():
    torch.manual_seed(0)
    x = torch.randn(2, 16, 24, 20).bfloat16().to(memory_format=torch.channels_last)
    for function, size in ((plain_activation, (24, 20)), (lambda x: plain_upsample(x, (48, 40)), (48, 40))):
        fast = NormalisedLeakyReLU(0.2) if function is plain_activation else lambda x: resize(x, (48, 40))
        gradient = torch.randn(2, 16, *size).bfloat16()
        found = differentiated(fast, x, gradient)
        expected = differentiated(function, x.float(), gradient.float())
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == torch.bfloat16
            torch.testing.assert_close(one.float(), other, atol=2e-2, rtol=2**-7)


@LAYOUTS
@pytest.mark.parametrize("function", [NormalisedLeakyReLU(0.2), halve])
def test_what_is_not_a_number_stays_visible(function, layout):
    x = torch.randn(1, 16, 8, 8).to(memory_format=layout)
    x[0, 3, 5, 4] = torch.nan
    lost = function(x).isnan().any(-1).any(-1)[0]
    assert lost.nonzero().tolist() == [[3]]


@LAYOUTS
@pytest.mark.parametrize("size", [(14, 18), (15, 4), (1, 1)])
def test_resizing_and_its_gradients_are_torchs(size, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 7, 9, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(2, 6, *size, dtype=torch.float64)
    found = differentiated(lambda features: resize(features, size).square(), x, gradient, twice=True)
    expected = differentiated(lambda x: plain_upsample(x, size).square(), x, gradient, twice=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


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
    assert x.grad is not None
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


NARROW = pytest.mark.parametrize(
    ("shape", "outputs"),
    [((3, 1, 48, 48), 4), ((2, 5, 7, 9), 3), ((2, 24, 24, 24), 8), ((1, 3, 1, 5), 15), ((2, 2, 70, 33), 1)],
)


def narrow_layer(shape, outputs, dropout=0.0):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(shape[1], outputs, 3, padding=1), NormalisedLeakyReLU(0.2, dropout)
    return *layer, torch.randn(shape, requires_grad=True), torch.randn(shape[0], outputs, *shape[2:])


def plain_layer(convolution, features):
    weight, bias = convolution.weight.double(), convolution.bias.double()
    return plain_activation(functional.conv2d(features.double(), weight, bias, padding=1))


@NARROW
@pytest.mark.parametrize("frozen", [(), ("weight", "bias"), ("features",)])
def test_a_layer_of_few_channels_and_its_gradients_are_torchs(shape, outputs, frozen):
    convolution, activation, features, gradient = narrow_layer(shape, outputs)
    for name, each in (("weight", convolution.weight), ("bias", convolution.bias), ("features", features)):
        each.requires_grad_(name not in frozen)
    asked = [each for each in (features, convolution.weight) if each.requires_grad]
    expected = plain_layer(convolution, features)
    found = convolve(features, convolution, activation)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)
    pairs = zip(
        torch.autograd.grad(found, asked, gradient),
        torch.autograd.grad(expected, asked, gradient.double()),
        strict=True,
    )
    for one, other in pairs:
        largest = other.abs().max()
        torch.testing.assert_close(one.double() / largest, other.double() / largest, atol=1e-5, rtol=0)


def test_a_layer_of_few_channels_is_the_same_without_gradients():
    convolution, activation, features, _ = narrow_layer((3, 4, 12, 10), 6)
    with torch.no_grad():
        found = convolve(features, convolution, activation)
    assert torch.equal(found, convolve(features, convolution, activation))


def test_a_layer_of_few_channels_drops_in_both_directions_alike():
    convolution, activation, features, gradient = narrow_layer((2, 3, 12, 10), 5, dropout=0.25)
    found = convolve(features, convolution, activation)
    kept = found != 0
    assert 0.65 < kept.double().mean() < 0.85
    expected = plain_layer(convolution, features) * kept / 0.75
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)
    (one,), (other,) = (torch.autograd.grad(out, features, gradient.to(out)) for out in (found, expected))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    activation.eval()
    whole = plain_layer(convolution, features)
    torch.testing.assert_close(
        convolve(features, convolution, activation).double(), whole, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_a_layer_of_few_channels_can_be_differentiated_twice(dropout):
    convolution, activation, features, gradient = narrow_layer((2, 3, 6, 7), 5, dropout)

    def seeded(x):
        torch.manual_seed(3)
        return convolve(x, convolution, activation)

    kept = (seeded(features) != 0) / (1 - dropout) if dropout else 1
    found = differentiated(seeded, features.detach(), gradient, twice=True)
    expected = differentiated(
        lambda x: plain_layer(convolution, x) * kept,
        features.detach().double(),
        gradient.double(),
        twice=True,
    )
    for one, other in zip(found, expected, strict=True):
        largest = other.abs().max()
        torch.testing.assert_close(one.double() / largest, other / largest, atol=1e-4, rtol=0)


def test_what_is_not_a_number_stays_visible_in_a_layer_of_few_channels():
    convolution, activation, features, _ = narrow_layer((2, 3, 8, 8), 5)
    with torch.no_grad():
        features[1, 2, 5, 4] = torch.nan
        found = convolve(features, convolution, activation).isnan()
    assert not found[0].any()
    assert found[1].flatten(1).any(1).all()


def test_a_layer_refuses_another_number_of_channels():
    convolution, activation, _, _ = narrow_layer((2, 3, 8, 8), 5)
    with pytest.raises(RuntimeError, match="expected"):
        convolve(torch.zeros(2, 4, 8, 8), convolution, activation)


@LAYOUTS
def test_the_mask_is_a_convolution_of_single_pixels(layout):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(6, 1, 1).double()
    features = torch.randn(3, 6, 5, 7, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(3, 1, 5, 7, dtype=torch.float64)
    found = differentiated(lambda x: to_mask(x, convolution), features, gradient)
    for one, other in zip(found, differentiated(convolution, features, gradient), strict=True):
        torch.testing.assert_close(one, other)
