"""Images and modules in the form that training needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def normalise(images: Tensor) -> Tensor:
    """Return uint8 images (N, S, S) as float32 in [-1, 1], shape (N, 1, S, S): (x / 255 - 0.5) / 0.5."""
    return images[:, None].float().mul_(2 / 255).sub_(1)


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a module in place; on a GPU its convolutions take the channels-last layout."""
    if device.type == "cuda":
        module.to(memory_format=torch.channels_last)
    return module.to(device)


def release_memory(device: torch.device) -> None:
    """Give a GPU's cached memory back, after an allocation has failed."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
