"""Teachers, ramps and noise."""

import copy

import pytest
import torch
from torch import nn

from mmbench.methods import blocks


def test_a_teacher_starts_equal_learns_nothing_and_is_in_evaluation_mode():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    teacher = blocks.teacher_of(network)
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value)
        assert teacher.state_dict()[name].data_ptr() != value.data_ptr()


def test_a_teacher_follows_with_the_average_of_torch():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    teacher = blocks.teacher_of(network)
    function = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    known = torch.optim.swa_utils.AveragedModel(
        copy.deepcopy(network), multi_avg_fn=function, use_buffers=True
    )
    known.update_parameters(network)  # its first update copies
    for _ in range(3):
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight))
        network(torch.randn(4, 2))
        blocks.follow(teacher, network, 0.9)
        known.update_parameters(network)
    for name, value in known.module.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(teacher.state_dict()[name], value), name
    assert teacher[1].num_batches_tracked == 3


def test_the_ramp_by_hand():
    assert blocks.sigmoid_ramp(0, 10) == pytest.approx(0.006737947)
    assert blocks.sigmoid_ramp(5, 10) == pytest.approx(0.286504797)
    assert blocks.sigmoid_ramp(10, 10) == blocks.sigmoid_ramp(11, 10) == blocks.sigmoid_ramp(1, 0) == 1.0


def test_noise_is_clipped():
    torch.manual_seed(0)
    noise = blocks.clipped_noise(torch.zeros(10_000))
    assert noise.abs().max().item() == pytest.approx(0.2)
    # A normal distribution of sd .1, its tails moved to two sds: E x^2 = .0773 sd^2 short of .01.
    assert noise.std().item() == pytest.approx(0.096, abs=0.002)
