"""The U-Net of the publication (ISBI 2021 supplement, Tables 1 and 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmbench.networks.layers import Dropout, NormalisedLeakyReLU, convolve, halve, like, resize, to_mask
from mmbench.networks.multitask import Body
from mmbench.protocol.schema import Backbone

BASE_CHANNELS = 16
LEAKY_SLOPE = 0.2


class DoubleConvolution(nn.Sequential):
    """[3x3 convolution, instance normalisation (no affine), LeakyReLU 0.2] twice, then dropout."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            NormalisedLeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            NormalisedLeakyReLU(LEAKY_SLOPE, dropout),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of shape (N, O, H, W) from (N, I, H, W)."""
        layers: Any = self
        first, one, second, other = layers
        return convolve(convolve(features, first, one), second, other)


class BatchNormalised(nn.Sequential):
    """[3x3 convolution, batch normalisation, LeakyReLU 0.2] twice, then dropout: Table 1 but for its norm."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(LEAKY_SLOPE),
            Dropout(dropout),
        )


BLOCKS = {"instance": DoubleConvolution, "batch": BatchNormalised}
"""What a backbone's ``norm`` builds the network of."""


class PaperUNet(Body):
    """Encoder 1-16-32-64-128-256 with a classification head and a mask decoder.

    At full width and depth the network has 1,962,851 parameters, 1,965,155 with a two-channel bridge,
    1,962,337 without the classification head and 1,178,994 without the decoder.

    Parameters
    ----------
    backbone : Backbone
        Width, depth, dropout and norm.
    classify, segment : bool
        Which heads to build.
    num_classes : int
        Number of classes.
    num_structures : int
        Number of structures, a mask each.
    bridge_channels : int
        Channels that join the first decoder stage.
    """

    def __init__(
        self,
        backbone: Backbone,
        classify: bool,
        segment: bool,
        num_classes: int,
        num_structures: int,
        bridge_channels: int,
    ):
        super().__init__()
        block = BLOCKS[backbone.norm]
        widths = [max(1, round(BASE_CHANNELS * 2**level * backbone.width)) for level in range(backbone.depth)]
        self.encoder = nn.ModuleList(
            block(before, after, backbone.dropout)
            for before, after in zip([1, *widths], widths, strict=False)
        )
        if classify:
            self.class_head = nn.Linear(widths[-1], num_classes)
        if segment:
            self.decoder = nn.ModuleList(
                block(below + skip + (bridge_channels if level == 0 else 0), skip, backbone.dropout)
                for level, (below, skip) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True))
            )
            self.mask_head = nn.Conv2d(widths[0], num_structures, 1)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return each block's features, finest first; block k has 1/2^k of the side."""
        features: list[Tensor] = []
        current = images
        for level, block in enumerate(self.encoder):
            current = block(halve(current) if level else current)
            features.append(current)
        return features

    def classify(self, features: list[Tensor]) -> Tensor:
        """Return class logits from the deepest features: max-pool, global average, linear."""
        return self.class_head(halve(features[-1]).mean((2, 3)))

    def decode(self, features: list[Tensor], bridge: Tensor | None) -> Tensor:
        """Return mask logits; the bridge is downsampled to the first decoder stage (x8 at depth 5)."""
        current = features[-1]
        for level, block in enumerate(self.decoder):
            skip = features[-2 - level]
            parts = [like(resize(current, skip.shape[-2:]), skip), skip]
            if level == 0 and bridge is not None:
                parts.append(like(resize(bridge, skip.shape[-2:]), skip))
            current = block(torch.cat(parts, 1))
        return to_mask(current, self.mask_head)

    def encoder_stages(self) -> list[nn.Module]:
        """Return the encoder's blocks."""
        return list(self.encoder)

    def decoder_stages(self) -> list[nn.Module]:
        """Return the decoder's blocks."""
        return list(self.decoder)
