"""Random shallow networks change how images look; predictions stay."""

from itertools import pairwise
from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import LABELED_CLASSIFICATION, LABELED_SEGMENTATION, Range, register_method, terms


@register_method(
    "gin_ipa", reference="Ouyang et al. 2022, arXiv:2111.12525; Xu et al. 2021, arXiv:2007.13003"
)
class GINIPA(UMTL):
    """UMTL on two random looks of each image, which are to be predicted alike.

    A look blends two outputs of random convolutions by a smooth random map, so that parts of an image look
    differently; the map is bicubic here, a cubic B-spline in the official code.
    """

    family = "domain-generalization"

    class Hyperparameters(UMTL.Hyperparameters):
        """Weight of consistency; layers and channels of the random network; knots of the map on a side."""

        consistency_weight: Annotated[float, Range(0.1, 100, log=True)] = 10.0
        layers: int = 4
        channels: int = 2
        knots: int = 4

    def losses(self, batch):
        """Return UMTL's over both looks, and the divergences of both predictions from their mean."""
        import torch

        labeled, segmented = batch[LABELED_CLASSIFICATION], batch[LABELED_SEGMENTATION]
        classes = [self.network.classify(look).float() for look in self.looks(labeled.images)]
        masks = [self.network.segment(look).float() for look in self.looks(segmented.images)]
        chances = [logits.sigmoid() for logits in masks]
        weight = self.hyperparameters.consistency_weight
        return {
            "cross_entropy": sum(terms.cross_entropy(logits, labeled.labels) for logits in classes) / 2,
            "dice": sum(self.weighted_dice(logits, segmented.masks) for logits in masks) / 2,
            "class_consistency": weight * divergence(*(logits.softmax(1) for logits in classes)),
            "mask_consistency": weight * divergence(*(torch.stack([p, 1 - p], 1) for p in chances)),
        }

    def looks(self, images):
        """Return two looks of each image: blended one way and the other (eq. 7)."""
        import torch
        from torch.nn.functional import interpolate

        one, other, knots = self.filtered(images), self.filtered(images), self.hyperparameters.knots
        share = torch.rand(len(images), 1, knots, knots, device=images.device)
        share = interpolate(share, images.shape[-2:], mode="bicubic", align_corners=True).clamp(0, 1)
        return share * one + (1 - share) * other, share * other + (1 - share) * one

    def filtered(self, images):
        """Return images mixed with a random network's output, of the same norm as before (eqs. 3, 4)."""
        import torch
        from torch.nn import functional

        count, own = len(images), self.hyperparameters
        sizes = [1, *[own.channels] * (own.layers - 1), 1]
        features = images.reshape(1, count, *images.shape[-2:])
        for layer, (before, after) in enumerate(pairwise(sizes)):
            side = 1 + 2 * int(torch.randint(2, ()))
            kernel = torch.randn(count * after, before, side, side, device=images.device)
            shift = torch.randn(count * after, device=images.device)
            features = functional.conv2d(features, kernel, shift, padding=side // 2, groups=count)
            if layer < own.layers - 1:
                features = functional.leaky_relu(features)
        share = torch.rand(count, 1, 1, 1, device=images.device)
        mixed = share * features.view_as(images) + (1 - share) * images
        return mixed * _norm(images) / (_norm(mixed) + 1e-5)


def _norm(images):
    """Return the Frobenius norm of each image, shape (N, 1, 1, 1)."""
    return images.flatten(1).norm(dim=1)[:, None, None, None]


def divergence(one, other):
    """Return the mean KL(p || m) of two predictions, with m their mean; axis 1 is of classes."""
    mean = (one + other) / 2

    def to_mean(p):
        return (p * ((p + 1e-8) / (mean + 1e-8)).log()).sum(1).mean()

    return (to_mean(one) + to_mean(other)) / 2
