"""Mean Teacher against its formulas, computed plainly."""

import pytest
import torch
from mmbench.baselines.mean_teacher import MeanTeacher

from mmbench.methods import CLASSIFICATION, SEGMENTATION, UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION
from mmbench.testing import built, example_batch


@pytest.fixture
def method():
    torch.manual_seed(0)
    return built(MeanTeacher, {"ramp": 0.0, "consistency_weight": 2.0})


def test_consistency_is_the_squared_distance_from_the_teacher(method):
    method.network.eval()  # so that nothing is dropped out
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.05)
    batch = example_batch(MeanTeacher.streams, views=MeanTeacher.views)
    torch.manual_seed(1)
    found = method.losses(batch)
    images, masks = batch[UNLABELED_CLASSIFICATION], batch[UNLABELED_SEGMENTATION]
    torch.manual_seed(1)
    noise = (0.1 * torch.randn_like(masks.images)).clamp(-0.2, 0.2)
    with torch.no_grad():
        classes = method.network.classify(images.weak[0]).softmax(1)
        targets = method.teacher.classify(images.weak[1]).softmax(1)
        pixels = torch.sigmoid(method.network.segment(masks.images))
        pixel_targets = torch.sigmoid(method.teacher.segment(masks.images + noise))
    assert found["class_consistency"].item() == pytest.approx(2 * ((classes - targets) ** 2).mean().item())
    expected = 2 * ((pixels - pixel_targets) ** 2).mean().item()
    assert found["mask_consistency"].item() == pytest.approx(expected, rel=1e-4)


def test_the_teacher_learns_by_no_gradient_moves_and_predicts(method):
    batch = example_batch(MeanTeacher.streams, views=MeanTeacher.views)
    sum(method.losses(batch).values()).backward()
    assert all(weight.grad is None for weight in method.teacher.parameters())
    before = [weight.clone() for weight in method.teacher.parameters()]
    with torch.no_grad():
        for weight in method.network.parameters():
            weight.add_(1.0)
    method.after_step(1)
    for old, new in zip(before, method.teacher.parameters(), strict=True):
        assert torch.allclose(new, old + 0.01, atol=1e-6)
    images = batch[UNLABELED_SEGMENTATION].images
    with torch.no_grad():
        assert torch.equal(
            method.predict(images, CLASSIFICATION).class_logits, method.teacher.classify(images)
        )
        assert torch.equal(method.predict(images, SEGMENTATION).mask_logits, method.teacher.segment(images))
