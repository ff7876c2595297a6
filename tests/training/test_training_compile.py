"""``compile: true`` trains the same: MultiMix, bridge and pseudo-labels included."""

import numpy as np
import pytest
import torch
from mmbench.baselines.multimix import MultiMix

from mmbench.methods import CLASSIFICATION, SEGMENTATION, Problem
from mmbench.protocol.schema import Backbone, Training
from mmbench.training.loop import train
from mmbench.training.selection import LastWeights
from mmbench.training.streams import StreamLoader, TaskData

SIDE, CASES = 16, 6


def losses(compile, device):
    torch.manual_seed(0)
    method = MultiMix(MultiMix.Hyperparameters(confidence=0.5))
    backbone = Backbone(width=0.25, depth=2, dropout=0.0)
    method.build(Problem(frozenset(MultiMix.tasks), backbone, SIDE))
    method.network.to(device)
    images = torch.randint(0, 256, (CASES, SIDE, SIDE), dtype=torch.uint8).to(device)
    labels, rows = (torch.arange(CASES) % 2).to(device), np.arange(CASES)
    source = TaskData(images, labels, (images > 127).to(torch.uint8)[:, None], rows, rows)
    training = Training(steps=3, batch_size=2, compile=compile)
    sources = {CLASSIFICATION: source, SEGMENTATION: source}
    loader = StreamLoader(sources, MultiMix.streams, training, seed=0, views=MultiMix.views)
    return train(method, loader, training, LastWeights(), device=device).losses


def compare(device):
    for plain, compiled in zip(losses(False, device), losses(True, device), strict=True):
        assert compiled == pytest.approx(plain, rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_compiled_losses_are_the_plain_ones():
    cpp_builder = pytest.importorskip("torch._inductor.cpp_builder")
    try:
        cpp_builder.get_cpp_compiler()
    except RuntimeError as error:
        pytest.skip(f"no C++ compiler: {error}")
    compiled = []
    real = torch.compile

    def noted(*given, **named):
        compiled.append(named)
        return real(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", noted)
        compare(torch.device("cpu"))
    assert compiled == [{"mode": "default"}]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_compiled_losses_are_the_plain_ones_with_cuda_graphs():
    compare(torch.device("cuda"))
