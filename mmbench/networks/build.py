"""From a protocol's backbone to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from mmbench.errors import PluginError, ProtocolError, suggestion
from mmbench.networks.multitask import Body, MultitaskNetwork
from mmbench.networks.saliency import BRIDGE_CHANNELS, Bridge, SaliencyScale
from mmbench.protocol.schema import Backbone

BUILDERS: dict[str, Callable[..., Body]] = {}
"""What builds the backbones of plugins, by name."""


def install(others: Mapping[str, Callable[..., Body]]) -> None:
    """Take in the backbones of plugins, in place of those taken in before.

    Raises
    ------
    PluginError
        If a name is a built-in backbone's.
    """
    if "paper_unet" in others:
        raise PluginError("backbone 'paper_unet' is built in; rename yours")
    BUILDERS.clear()
    BUILDERS.update(others)


def build_network(
    backbone: Backbone,
    *,
    classify: bool,
    segment: bool,
    image_size: int,
    num_classes: int = 2,
    num_structures: int = 1,
    bridge: Bridge = "none",
    saliency_scale: SaliencyScale = "raw",
) -> MultitaskNetwork:
    """Return a freshly initialised network for one-channel images.

    Parameters
    ----------
    backbone : Backbone
        ``paper_unet``, ``smp:<decoder>/<encoder>``, or a plugin's name.
    classify, segment : bool
        Which heads to build; parts that no head needs are left out.
    image_size : int
        Side of the square images in pixels.
    num_classes, num_structures : int
        Number of classes, and of structures, which get a mask each.
    bridge : {'both', 'image', 'saliency', 'shuffled', 'none'}
        What joins the decoder.
    saliency_scale : {'raw', 'minmax'}
        Whether saliency maps are stretched to [0, 1].

    Raises
    ------
    ProtocolError
        If a backbone, a segmentation-models-pytorch decoder or a timm encoder is unknown, they do not fit
        together, or ImageNet weights are asked for and cannot be had.
    """
    channels = BRIDGE_CHANNELS[bridge] if segment else 0
    if backbone.name == "paper_unet":
        from mmbench.networks.unet import PaperUNet

        body: Body = PaperUNet(backbone, classify, segment, num_classes, num_structures, channels)
    elif backbone.name.startswith("smp:"):
        from mmbench.networks.smp import SMPNetwork

        body = SMPNetwork(backbone, classify, segment, num_classes, num_structures, channels, image_size)
    elif backbone.name in BUILDERS:
        build = BUILDERS[backbone.name]
        body = build(backbone, classify, segment, num_classes, num_structures, channels, image_size)
    else:
        hint = suggestion(backbone.name, ["paper_unet", "smp:<decoder>/<timm encoder>", *BUILDERS])
        raise ProtocolError(f"unknown backbone {backbone.name!r}; {hint}; your own needs --plugin FILE")
    return MultitaskNetwork(body, bridge if segment else "none", saliency_scale)


def check_backbone(backbone: Backbone, image_size: int) -> str:
    """Build a backbone once and run it on one blank image, so that a misfit shows before any training.

    Returns
    -------
    str
        The sha256 of the weights that it starts from; empty where they are drawn at random.

    Raises
    ------
    ProtocolError
        As :func:`build_network`, or if the network does not take images of this size.
    """
    network = build_network(backbone, classify=True, segment=True, image_size=image_size, bridge="both")
    image = torch.zeros(1, 1, image_size, image_size)
    try:
        network.eval()
        network.classify(image)
        masks = network.segment(image)
    except (RuntimeError, ValueError, AssertionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ProtocolError(
            f"{backbone.name} does not take images of {image_size} pixels: {cause}"
        ) from error
    if masks.shape != image.shape:
        raise ProtocolError(
            f"{backbone.name} makes masks of {masks.shape[-1]} pixels from images of {image_size}"
        )
    return network.body.weights_digest
