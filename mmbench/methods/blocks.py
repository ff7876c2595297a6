"""Building blocks that methods of the field share: teachers, weights that ramp up, adaptation at test time.

torch is imported inside the functions so that plugins can be listed without it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from mmbench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmbench.methods.base import Prediction
    from mmbench.networks.multitask import MultitaskNetwork

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


def running(**values: Tensor) -> nn.Module:
    """Return what holds averages over the steps, as buffers that are saved as weights are.

    Parameters
    ----------
    **values : Tensor
        What each starts from, by name.
    """
    from torch import nn

    holder = nn.Module()
    for name, value in values.items():
        holder.register_buffer(name, value.clone())
    return holder


def follow_values(holder: nn.Module, decay: float, **values: Tensor) -> None:
    """Move averages that :func:`running` holds: decay * average + (1 - decay) * value."""
    for name, value in values.items():
        holder.get_buffer(name).lerp_(value.detach(), 1 - decay)


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


@contextmanager
def statistics_moved(network: nn.Module, share: float) -> Iterator[None]:
    """Let passes move the statistics of batch normalisation towards each batch's, by a share in [0, 1].

    Layers that see a single value of each channel keep theirs, since it has no variance.

    Raises
    ------
    PluginError
        If the network has no batch normalisation with running statistics.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    layers = [
        layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats
    ]
    if not layers:
        raise PluginError("the backbone has no batch normalisation to adapt")
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: _move(layer, given[0], share))
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _move(layer: nn.Module, features: Tensor, share: float) -> None:
    features = features.detach()
    dimensions = [axis for axis in range(features.ndim) if axis != 1]
    if features.numel() > features.shape[1]:
        layer.get_buffer("running_mean").lerp_(features.mean(dimensions), share)
        layer.get_buffer("running_var").lerp_(features.var(dimensions, correction=0), share)


def entropies(prediction: Prediction) -> Tensor:
    """Return the entropy, in nats, of each image's class, shape (N,), or of each pixel of its masks."""
    from torch.distributions import Bernoulli, Categorical

    if prediction.class_logits is not None:
        return Categorical(logits=prediction.class_logits.float()).entropy()
    assert prediction.mask_logits is not None
    return Bernoulli(logits=prediction.mask_logits.float()).entropy()


def entropy(prediction: Prediction) -> Tensor:
    """Return the mean entropy, in nats, of a prediction's classes, or of its pixels where it is of masks."""
    return entropies(prediction).mean()


def dropout_active(network: nn.Module) -> AbstractContextManager[None]:
    """Drop features out as in training, whatever the network's mode: Monte Carlo dropout."""
    from mmbench.networks.modes import dropout_active

    return dropout_active(network)


@contextmanager
def outputs_of(stages: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect what some parts of a network return, in the order of their passes."""
    found: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda stage, given, output: found.append(output)) for stage in stages
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def channels_of(network: MultitaskNetwork, image_size: int) -> list[int]:
    """Return how many channels each stage of a network's decoder returns, coarsest first."""
    import torch

    from mmbench.networks.modes import evaluation_mode

    with evaluation_mode(network), torch.no_grad(), outputs_of(network.body.decoder_stages()) as features:
        network.segment(torch.zeros(1, 1, image_size, image_size))
    return [feature.shape[1] for feature in features]


def repeated(count: int, wanted: int) -> Tensor:
    """Return ``wanted`` indices of ``count`` images, each used again in turn where there are too few."""
    import torch

    return torch.arange(wanted) % count


def random_box(images: Tensor, side: float) -> Tensor:
    """Return a mask of one box for all images, at a random place.

    Parameters
    ----------
    images : Tensor
        Shape (N, C, H, W).
    side : float
        Of the box, as a share of the image's, in (0, 1].

    Returns
    -------
    Tensor
        bool, shape (1, 1, H, W).
    """
    import torch

    found = torch.zeros(1, 1, *images.shape[-2:], dtype=torch.bool)
    height, width = (int(size * side) for size in images.shape[-2:])
    top = int(torch.randint(images.shape[-2] - height + 1, ()))
    left = int(torch.randint(images.shape[-1] - width + 1, ()))
    found[..., top : top + height, left : left + width] = True
    return found.to(images.device)


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
