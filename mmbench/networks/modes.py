"""What a module computes for a while: training or evaluation mode, gradients by its weights or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mmbench.networks.layers import Dropout

DROPOUTS = (Dropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put every submodule in evaluation mode, and restore each one's own mode afterwards."""
    modes = [(child, child.training) for child in module.modules() if child.training]
    for child, _ in modes:
        child.training = False
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Compute no gradient by a module's weights, and restore afterwards which ones have one."""
    free = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in free:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in free:
            weight.requires_grad_(True)


@contextmanager
def dropout_active(module: nn.Module) -> Iterator[None]:
    """Put every dropout layer in training mode, and restore each one's own mode afterwards."""
    resting = [child for child in module.modules() if isinstance(child, DROPOUTS) and not child.training]
    for child in resting:
        child.training = True
    try:
        yield
    finally:
        for child in resting:
            child.training = False
