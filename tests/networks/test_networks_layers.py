"""The layers of the paper's network against PyTorch's, in both layouts."""

import pytest
import torch
from torch.nn import functional

from mmbench.networks.layers import Dropout, NormalisedLeakyReLU, halve, resize

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
