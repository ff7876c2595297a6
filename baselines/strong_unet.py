"""What a tuned U-Net does at this size: augmentation, deep supervision, Dice + CE, mirrored predictions."""

from typing import Annotated

from mmbench.baselines.enc import Enc
from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_SEGMENTATION,
    Prediction,
    Range,
    blocks,
    register_method,
    terms,
)


@register_method("strong_unet", reference="Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (nnU-Net)")
class StrongUNet(UMTL):
    """Enc beside a U-Net that is trained as nnU-Net is.

    Of nnU-Net's augmentation: rotation, scale, mirroring (left and right alone: chests are not upside down),
    noise, brightness, contrast, lower resolution and gamma, with its chances. Its planning, patches, folds
    and ensembles are left out. The published momentum is .99 with Nesterov's correction.
    """

    published = {
        "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.99, "weight_decay": 3e-5},
        "schedule": {"name": "poly", "power": 0.9},
        "clip": 12.0,
    }

    class Hyperparameters(UMTL.Hyperparameters):
        """Largest rotation in degrees, and whether deep supervision and mirrored predictions are used."""

        rotation: Annotated[float, Range(0, 60)] = 30.0
        deep_supervision: bool = True
        mirror: bool = True

    def build(self, problem):
        """Make the network, and a mask head for each stage of the decoder but the last."""
        from torch import nn

        super().build(problem)
        channels = blocks.channels_of(self.network, problem.image_size)[:-1]
        self.heads = nn.ModuleList(nn.Conv2d(count, problem.num_structures, 1) for count in channels)

    def losses(self, batch):
        """Return Enc's, and alpha times Dice + CE of each stage, the coarser the less by half."""
        labeled = batch[LABELED_SEGMENTATION]
        images, masks = augmented(labeled.images, labeled.masks, self.hyperparameters.rotation)
        if self.hyperparameters.deep_supervision:
            with blocks.outputs_of(self.network.body.decoder_stages()) as features:
                logits = [self.network.segment(images)]
            logits += [
                head(feature) for head, feature in zip(self.heads[::-1], features[-2::-1], strict=True)
            ]
        else:
            logits = [self.network.segment(images)]
        weights = [0.5**place for place in range(len(logits))]
        total = sum(weight * _loss(stage, masks) for weight, stage in zip(weights, logits, strict=True))
        return {**Enc.losses(self, batch), "deep": self.hyperparameters.dice_weight * total / sum(weights)}

    def predict(self, images, task):
        """Return the mean logits of an image and its mirror image."""
        plain = super().predict(images, task)
        if not self.hyperparameters.mirror:
            return plain
        mirrored = super().predict(images.flip(-1), task)
        if task is CLASSIFICATION:
            return Prediction(class_logits=(plain.class_logits + mirrored.class_logits) / 2)
        return Prediction(mask_logits=(plain.mask_logits + mirrored.mask_logits.flip(-1)) / 2)


def _loss(logits, masks):
    """Return the mean of Dice loss and cross-entropy, with masks brought to the logits' size."""
    from torch.nn.functional import adaptive_avg_pool2d

    masks = (adaptive_avg_pool2d(masks, logits.shape[-2:]) >= 0.5).float()
    return (terms.dice(logits, masks) + terms.pixel_cross_entropy(logits, masks)) / 2


def augmented(images, masks, rotation):
    """Return images in [-1, 1] and masks, moved alike, and images changed in noise, brightness and more."""
    import torch
    from torch.nn import functional

    def drawn(low, high, chance, neutral):
        """Return a value for each image: uniform with a chance, neutral otherwise."""
        shape = (len(images), 1, 1, 1)
        values = low + (high - low) * torch.rand(shape, device=images.device)
        return values.where(torch.rand(shape, device=images.device) < chance, neutral)

    angle, scale = (
        drawn(-rotation, rotation, 0.2, 0.0).deg2rad().flatten(),
        drawn(0.7, 1.4, 0.2, 1.0).flatten(),
    )
    mirror = drawn(-1.0, -1.0, 0.5, 1.0).flatten()
    cosine, sine, zero = angle.cos() / scale, angle.sin() / scale, torch.zeros_like(angle)
    affine = torch.stack([cosine * mirror, -sine, zero, sine * mirror, cosine, zero], 1).view(-1, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    masks = functional.grid_sample(masks, grid, mode="nearest", align_corners=False)
    images = (images + 1) / 2
    images = images + drawn(0.0, 0.1, 0.1, 0.0).sqrt() * torch.randn_like(images) / 2
    images = images * drawn(0.75, 1.25, 0.15, 1.0)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * drawn(0.75, 1.25, 0.15, 1.0) + mean
    small = functional.interpolate(images, scale_factor=0.5, mode="area")
    coarse = functional.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)
    images = images.lerp(coarse, drawn(1.0, 1.0, 0.25, 0.0))
    images = images.clamp(0, 1) ** drawn(0.7, 1.5, 0.3, 1.0)
    return images * 2 - 1, masks
