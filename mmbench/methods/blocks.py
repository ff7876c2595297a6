"""Building blocks that methods of the field share: teachers, weights that ramp up, adaptation at test time.

torch is imported inside the functions so that plugins can be listed without it.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, TypeVar

from mmbench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmbench.methods.base import Prediction

Network = TypeVar("Network", bound="nn.Module")


def teacher_of(network: Network) -> Network:
    """Return a copy that starts from the same weights, learns by no gradient, and is in evaluation mode."""
    teacher = copy.deepcopy(network).requires_grad_(False)
    teacher.eval()
    return teacher


def follow(teacher: nn.Module, network: nn.Module, decay: float) -> None:
    """Move a teacher's weights and buffers towards a network's: decay * teacher + (1 - decay) * network.

    Buffers that are no floating-point numbers (counts of batches) are copied.
    """
    import torch

    with torch.no_grad():
        state = network.state_dict()
        for name, slow in teacher.state_dict().items():
            if slow.is_floating_point():
                slow.lerp_(state[name], 1 - decay)
            else:
                slow.copy_(state[name])


def sigmoid_ramp(step: int, steps: float) -> float:
    """Return exp(-5 (1 - step / steps)^2), 1 from ``steps`` on (Laine and Aila 2017, arXiv:1610.02242)."""
    rest = max(0.0, 1.0 - step / steps) if steps > 0 else 0.0
    return math.exp(-5.0 * rest**2)


def clipped_noise(images: Tensor, scale: float = 0.1, largest: float = 0.2) -> Tensor:
    """Return images with Gaussian noise of a scale, clipped to ±``largest`` (UA-MT, arXiv:1907.07034)."""
    import torch

    return images + (torch.randn_like(images) * scale).clamp(-largest, largest)


def normalise_by_batch(network: nn.Module) -> list[nn.Parameter]:
    """Let batch normalisation use each batch's own statistics, and return its weights, which alone learn.

    Every other weight stops learning; the statistics of the training are forgotten (Wang et al. 2021,
    arXiv:2006.10726; Schneider et al. 2020, arXiv:2006.16971).

    Raises
    ------
    PluginError
        If the network has no batch normalisation with weights.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    network.requires_grad_(False)
    weights: list[nn.Parameter] = []
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
            weights += layer.requires_grad_(True).parameters()
    if not weights:
        raise PluginError("the backbone has no batch normalisation to adapt")
    return weights


def entropy(prediction: Prediction) -> Tensor:
    """Return the mean entropy, in nats, of a prediction's classes, or of its pixels where it is of masks."""
    from torch.distributions import Bernoulli, Categorical

    if prediction.class_logits is not None:
        return Categorical(logits=prediction.class_logits.float()).entropy().mean()
    assert prediction.mask_logits is not None
    return Bernoulli(logits=prediction.mask_logits.float()).entropy().mean()


def freeze(part: nn.Module) -> None:
    """Let nothing of a part of a network learn, and leave it in evaluation mode: a probe of its features."""
    part.requires_grad_(False)
    part.eval()


def lora(part: nn.Module, rank: int) -> None:
    """Let nothing of a part learn but low-rank additions to its linear and convolutional layers, by ``peft``.

    They start at zero, and count as much as the layers (Hu et al. 2022, arXiv:2106.09685, with alpha = rank).

    Raises
    ------
    PluginError
        If ``peft`` is not installed, or the part has no such layers.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise PluginError("low-rank adaptation needs peft: pip install 'mmbench[lora]'") from error
    from torch import nn

    # Grouped convolutions have no low-rank form in peft.
    fit = [
        name
        for name, layer in part.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
    ]
    if not fit:
        raise PluginError("low-rank adaptation finds no linear or convolutional layer")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=fit), part)
