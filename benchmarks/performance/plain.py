"""MultiMix's training step done plainly, as the released script does it: what the quick one is held against.

One batch of every stream's images passes through encoder, saliency and decoder, whether its masks are used
or not; the saliency pass fills the weights' gradients and throws them away; every layer is PyTorch's
own. Only the released script's mistakes in the loss terms are not repeated.
"""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
)
from mmbench.networks.layers import NormalisedLeakyReLU

BILINEAR: dict[str, Any] = {"mode": "bilinear", "align_corners": True}


def plain_block(block):
    """Return a block of the paper's network with PyTorch's layers, its weights shared."""
    layers = []
    for layer in block:
        if isinstance(layer, NormalisedLeakyReLU):
            norm = nn.InstanceNorm2d(layers[-1].out_channels)
            relu, dropout = nn.LeakyReLU(layer.slope, inplace=True), nn.Dropout(layer.dropout.rate)
            layer = nn.Sequential(norm, relu, dropout)
        layers.append(layer)
    return nn.Sequential(*layers)


class PlainMultiMix:
    """A copy of a built MultiMix (``paper_unet``, bridge ``both``), computed plainly.

    Parameters
    ----------
    method : MultiMix
        Its weights are copied, so that both can be trained side by side.
    """

    def __init__(self, method):
        self.hyperparameters = method.hyperparameters
        self.network = copy.deepcopy(method.network)
        body = self.network.body
        body.encoder, body.decoder = (
            nn.ModuleList(plain_block(block) for block in blocks) for blocks in (body.encoder, body.decoder)
        )

    def losses(self, batch):
        """Return the loss terms of a step, by the formulas written out."""
        labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
        first, second = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        parts = [labeled.images, unlabeled.images, unlabeled.strong[0], first.images, second.images]
        images = torch.cat(parts)
        bridge = torch.cat([self._saliency(images), images], 1)
        features = self._encode(images)
        sizes = [len(part) for part in parts]
        logits, weak, strong, _, _ = self._classify(features).float().split(sizes)
        _, _, _, one, other = self._decode(features, bridge).float().split(sizes)

        values = self.hyperparameters
        probability, guess = weak.detach().softmax(1).max(1)
        sure = probability >= values.confidence
        guessed = functional.cross_entropy(strong, guess, reduction="none")
        p, q = one.sigmoid(), other.sigmoid()
        truth = first.masks
        score = (2 * (p * truth).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
        kl = p * (p.log() - q.log()) + (1 - p) * ((1 - p).log() - (1 - q).log())
        return {
            "cross_entropy": functional.cross_entropy(logits, labeled.labels),
            "pseudo_label": values.pseudo_label_weight * (guessed * sure).mean(),
            "dice": values.dice_weight * (1 - score).mean(),
            "segmentation_kl": values.segmentation_kl_weight * kl.mean(),
        }

    def _saliency(self, images):
        self.network.eval()
        images = images.clone().requires_grad_()
        self._classify(self._encode(images)).max(1).values.sum().backward()
        saliency = images.grad.float().abs()
        self.network.zero_grad()
        self.network.train()
        return saliency

    def _encode(self, images):
        features = [self.network.body.encoder[0](images)]
        for block in self.network.body.encoder[1:]:
            features.append(block(functional.max_pool2d(features[-1], 2)))
        return features

    def _classify(self, features):
        return self.network.body.class_head(functional.max_pool2d(features[-1], 2).mean((2, 3)))

    def _decode(self, features, bridge):
        current = features[-1]
        parts = [functional.interpolate(bridge, features[-2].shape[-2:], **BILINEAR)]
        for block, skip in zip(self.network.body.decoder, features[-2::-1], strict=True):
            current = functional.interpolate(current, skip.shape[-2:], **BILINEAR)
            current = block(torch.cat([current, skip, *parts], 1))
            parts = []
        return self.network.body.mask_head(current)
