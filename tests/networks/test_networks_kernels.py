"""Compiled loops: bfloat16 as PyTorch rounds it, and a machine where compiled code cannot be cached."""

import numba
import numpy as np
import pytest
import torch

from mmbench.networks import kernels


def test_bfloat16_is_rounded_as_pytorch_rounds_it():
    bits = np.arange(2**16, dtype=np.uint32).astype(np.uint16)  # every bfloat16 there is
    scale = np.float32(1.00390625 * 1.001)
    out = np.empty_like(bits)
    kernels.drop(bits, np.full(bits.size, 255, np.uint8), out, 1, scale)  # type: ignore[arg-type]  # float32
    numbers = torch.from_numpy(bits).view(torch.bfloat16)
    expected = (numbers.float() * torch.tensor(scale)).bfloat16()
    found = torch.from_numpy(out).view(torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_ties_are_rounded_to_even():
    bits = torch.tensor([1.0, 1.0078125, -1.0, -1.0078125]).bfloat16()
    out = np.empty(4, np.uint16)
    random = np.full(4, 255, np.uint8)
    # Times 1 + 2^-8 they lie halfway between two neighbours, or just beside.
    scale = np.float32(1.00390625)
    kernels.drop(bits.view(torch.uint16).numpy(), random, out, 1, scale)  # type: ignore[arg-type]  # float32
    expected = (bits.float() * 1.00390625).bfloat16()
    assert torch.equal(torch.from_numpy(out).view(torch.bfloat16), expected)
    assert expected[0] == 1  # and not 1.0078125


def test_loops_work_where_nothing_can_be_kept(monkeypatch):
    compiled = numba.njit

    def unwritable(function=None, *, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiled(**settings)

    monkeypatch.setattr(numba, "njit", unwritable)
    double = kernels.compiled()(lambda number: 2 * number)
    assert double(4) == 8


@pytest.mark.parametrize("threshold", [1, 64, 255])
def test_dropping_keeps_the_bytes_from_the_threshold_on(threshold):
    random = np.arange(256, dtype=np.uint8)
    out = np.empty(256, np.float32)
    ones, scale = np.ones(256, np.float32), np.float32(2)
    kernels.drop(ones, random, out, threshold, scale)  # type: ignore[arg-type]  # float32
    assert out.tolist() == [0.0] * threshold + [2.0] * (256 - threshold)
