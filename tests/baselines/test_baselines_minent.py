"""MinEnt against its formulas, computed plainly."""

from typing import Any

import pytest
import torch
from mmbench.baselines.minent import MinEnt
from mmbench.baselines.umtl import UMTL

from mmbench.methods import UNLABELED_TARGET_CLASSIFICATION, UNLABELED_TARGET_SEGMENTATION
from mmbench.testing import built, example_batch

SIDE = 32


def test_the_target_images_entropy_is_added_to_umtls_losses():
    torch.manual_seed(0)
    method: Any = built(MinEnt, {"entropy_weight": 0.5}, SIDE)
    method.network.eval()  # so that nothing is dropped out
    batch = example_batch(MinEnt.streams, SIDE)
    with torch.no_grad():
        found = method.losses(batch)
        plain = UMTL.losses(method, batch)
        classes = method.network.classify(batch[UNLABELED_TARGET_CLASSIFICATION].images).softmax(1)
        pixels = method.network.segment(batch[UNLABELED_TARGET_SEGMENTATION].images).sigmoid()
    assert found.keys() == plain.keys() | {"class_entropy", "mask_entropy"}
    expected = -0.5 * (classes * classes.log()).sum(1).mean()
    assert found["class_entropy"].item() == pytest.approx(expected.item(), rel=1e-5)
    expected = -0.5 * (pixels * pixels.log() + (1 - pixels) * (1 - pixels).log()).mean()
    assert found["mask_entropy"].item() == pytest.approx(expected.item(), rel=1e-4)
