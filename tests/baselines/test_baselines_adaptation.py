"""Adaptation of statistics, and SAR, against their formulas."""

import copy
import math

import pytest
import torch
from mmbench.baselines.bn_adapt import BNAdapt
from mmbench.baselines.sar import SAR
from mmbench.baselines.umtl import UMTL
from torch import nn

from mmbench.methods import CLASSIFICATION, SEGMENTATION, Problem, blocks
from mmbench.protocol.schema import Backbone
from mmbench.testing.examples import built_on

PROBLEM = Problem(frozenset(UMTL.tasks), Backbone(name="smp:unet/test_efficientnet"), 32)
IMAGES = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def trained(cls, **values):
    """Return a method with statistics and affine weights that differ from an untrained network's."""
    method = built_on(cls, values, PROBLEM)
    random = torch.Generator().manual_seed(0)
    for layer in method.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.copy_(torch.rand(layer.running_mean.shape, generator=random) - 0.5)
            layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=random) + 0.5)
    method.network.eval()
    return method


def norms(method):
    return [layer for layer in method.network.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize(("prior", "share"), [(0.0, 1.0), (18.0, 0.25)])
def test_statistics_become_a_mean_of_the_trainings_and_the_batchs(prior, share):
    method = trained(BNAdapt, prior=prior)
    first = norms(method)[0]
    before, given = first.running_mean.clone(), []
    spread = first.running_var.clone()
    first.register_forward_pre_hook(lambda layer, features: given.append(features[0]))
    method.begin_adaptation(CLASSIFICATION)
    with torch.enable_grad():
        method.adapt(IMAGES, CLASSIFICATION)
    mean = given[0].mean((0, 2, 3))
    variance = ((given[0] - mean[:, None, None]) ** 2).mean((0, 2, 3))
    assert torch.allclose(first.running_mean, (1 - share) * before + share * mean, atol=1e-5)
    assert torch.allclose(first.running_var, (1 - share) * spread + share * variance, atol=1e-5)


def test_with_the_batchs_statistics_alone_each_layer_normalises_its_input():
    """A layer's own input has mean 0 and variance 1 after it, whatever the layers before have become."""
    method = trained(BNAdapt)
    method.begin_adaptation(SEGMENTATION)
    method.adapt(IMAGES, SEGMENTATION)
    seen = []
    for layer in norms(method):
        layer.register_forward_hook(lambda layer, given, output: seen.append((layer, given[0])))
    with torch.no_grad():
        method.predict(IMAGES, SEGMENTATION)
    for layer, given in seen:
        if given.shape[-1] > 1:
            assert torch.allclose(layer.running_mean, given.mean((0, 2, 3)), atol=1e-4)


def test_one_image_changes_no_layer_that_sees_one_value():
    method = trained(BNAdapt)
    method.begin_adaptation(CLASSIFICATION)
    method.adapt(IMAGES[:1], CLASSIFICATION)
    assert all(layer.running_var.isfinite().all() for layer in norms(method))
    with torch.no_grad():
        assert method.predict(IMAGES[:1], CLASSIFICATION).class_logits.isfinite().all()


def entropies(method, images):
    return blocks.entropies(method.predict(images, CLASSIFICATION))


def sar(**values):
    method = trained(SAR, **values)
    with torch.no_grad():
        method.network.body.class_head.weight.mul_(4)
    method.begin_adaptation(CLASSIFICATION)
    return method


def test_a_step_is_that_of_two_passes_written_out():
    with torch.no_grad():
        limit = entropies(sar(), IMAGES).median().item()  # so that some images are sure and others are not
    share = limit / math.log(2)
    values = {"adaptation_rate": 0.01, "momentum": 0.0, "collapsed": 0.0, "radius": 0.05}
    method = sar(reliable=share, **values)
    plain = copy.deepcopy(method)
    before = entropies(plain, IMAGES)
    sure = before < limit
    assert 0 < sure.sum() < len(IMAGES)
    slopes = torch.autograd.grad(before[sure].mean(), plain.weights, materialize_grads=True)
    norm = math.sqrt(sum(float((slope**2).sum()) for slope in slopes))
    start = [weight.detach().clone() for weight in plain.weights]
    with torch.no_grad():
        for weight, slope in zip(plain.weights, slopes, strict=True):
            weight += 0.05 * slope / norm
    there = entropies(plain, IMAGES)
    still = sure & (there < limit)
    slopes = torch.autograd.grad(there[still].mean(), plain.weights, materialize_grads=True)
    method.adapt(IMAGES, CLASSIFICATION)
    for weight, old, slope in zip(method.weights, start, slopes, strict=True):
        assert torch.allclose(weight, old - 0.01 * slope, atol=1e-6)
    assert method.average == pytest.approx(there[still].mean().item(), rel=1e-4)


def test_where_nothing_is_reliable_nothing_moves():
    method = sar(reliable=0.0)
    method.adapt(IMAGES, CLASSIFICATION)
    assert all(map(torch.equal, method.weights, method.trained))
    assert method.average is None


def test_a_collapse_begins_anew_from_the_trained_weights():
    method = sar(reliable=2.0, collapsed=2.0, adaptation_rate=0.1)
    method.adapt(IMAGES, CLASSIFICATION)
    assert all(map(torch.equal, method.weights, method.trained))
    assert method.average is None
    kept = sar(reliable=2.0, collapsed=0.0, adaptation_rate=0.1)
    kept.adapt(IMAGES, CLASSIFICATION)
    assert not all(map(torch.equal, kept.weights, kept.trained))


def test_thresholds_are_shares_of_the_largest_entropy():
    """The official ones, .4 ln K and .2, are those of 1,000 classes."""
    values = SAR.Hyperparameters()
    assert values.reliable * math.log(1000) == pytest.approx(0.4 * math.log(1000))
    assert values.collapsed * math.log(1000) == pytest.approx(0.2)


def test_the_deepest_stage_and_all_but_batch_normalisation_stay():
    method = sar()
    deepest = {id(weight) for weight in method.network.body.encoder_stages()[-1].parameters()}
    affine = {id(weight) for layer in norms(method) for weight in layer.parameters()}
    learned = {id(weight) for weight in method.weights}
    assert learned == affine - deepest
    assert affine & deepest
