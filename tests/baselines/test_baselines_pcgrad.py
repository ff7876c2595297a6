"""PCGrad against its algorithm by hand."""

import torch
from mmbench.baselines.pcgrad import PCGrad


def test_conflicting_gradients_lose_their_conflict():
    """In the plane: (1, 0) and (-1, 1) conflict by -1; each becomes orthogonal to the other."""
    gradients = {"one": torch.tensor([1.0, 0.0]), "other": torch.tensor([-1.0, 1.0])}
    kept = {name: value.clone() for name, value in gradients.items()}
    found = PCGrad().combine(gradients)
    # (1, 0) + 1/2 (-1, 1) = (1/2, 1/2), and (-1, 1) + 1 (1, 0) = (0, 1).
    assert torch.allclose(found, torch.tensor([0.5, 1.5]))
    assert all(torch.equal(gradients[name], value) for name, value in kept.items())


def test_agreeing_gradients_are_added():
    found = PCGrad().combine({"one": torch.tensor([1.0, 2.0]), "other": torch.tensor([0.0, 3.0])})
    assert torch.equal(found, torch.tensor([1.0, 5.0]))


def test_no_gradient_at_all_stays_none():
    zero = torch.zeros(3)
    assert torch.equal(PCGrad().combine({"one": zero, "other": zero}), zero)
