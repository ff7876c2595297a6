"""MultiMix's training step done plainly, as the released script does it: what the quick one is held against.

One batch of every stream's images passes through encoder, saliency and decoder, whether its masks are used
or not; the saliency pass fills the weights' gradients and throws them away; normalisation and dropout are
PyTorch's own. Only the released script's mistakes in the loss terms are not repeated.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
)
from mmbench.networks.layers import Dropout, NormalisedLeakyReLU


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
        body.wide = False
        for block in [*body.encoder, *body.decoder]:
            for index, layer in enumerate(block):
                if isinstance(layer, NormalisedLeakyReLU):
                    norm = nn.InstanceNorm2d(block[index - 1].out_channels)
                    block[index] = nn.Sequential(norm, nn.LeakyReLU(layer.slope, inplace=True))
                elif isinstance(layer, Dropout):
                    block[index] = nn.Dropout(layer.rate)

    def losses(self, batch):
        """Return the loss terms of a step, by the formulas written out."""
        labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
        first, second = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        parts = [labeled.images, unlabeled.images, unlabeled.strong, first.images, second.images]
        images = torch.cat(parts)
        bridge = torch.cat([self._saliency(images), images], 1)
        body = self.network.body
        features = body.encode(images)
        sizes = [len(part) for part in parts]
        logits, weak, strong, _, _ = body.classify(features).float().split(sizes)
        _, _, _, one, other = body.decode(features, bridge).float().split(sizes)

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
        self.network.classify(images).max(1).values.sum().backward()
        saliency = images.grad.float().abs()
        self.network.zero_grad()
        self.network.train()
        return saliency
