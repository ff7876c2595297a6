"""Labelled images in the style of the targets: their low-frequency amplitudes."""

import math
from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    UNLABELED_TARGET_CLASSIFICATION,
    UNLABELED_TARGET_SEGMENTATION,
    Prediction,
    Range,
    blocks,
    register_method,
)

TARGETS = {
    LABELED_CLASSIFICATION: UNLABELED_TARGET_CLASSIFICATION,
    LABELED_SEGMENTATION: UNLABELED_TARGET_SEGMENTATION,
}


@register_method("fda", reference="Yang and Soatto 2020, arXiv:2004.05498")
class FDA(UMTL):
    """UMTL on labelled images with a target image's low-frequency amplitudes; target predictions are sure."""

    streams = UMTL.streams | set(TARGETS.values())

    class Hyperparameters(UMTL.Hyperparameters):
        """Side of the replaced frequencies by the image's; weight of the entropy, and its power."""

        beta: Annotated[float, Range(0.005, 0.1, log=True)] = 0.01
        entropy_weight: Annotated[float, Range(0.0005, 0.05, log=True)] = 0.005
        power: float = 2.0

    def losses(self, batch):
        """Return UMTL's on changed images, and the robust entropies of target predictions (eqs. 4 to 7)."""
        styled = {
            source: self.styled(batch[source].images, batch[target].images)
            for source, target in TARGETS.items()
        }
        images, masks = (batch[target].images for target in TARGETS.values())
        (classes,), (pixels,) = self.classify(images), self.segment(masks)
        weight = self.hyperparameters.entropy_weight
        return {
            **super().losses(batch.replaced(styled)),
            "class_entropy": weight * self.robust_entropy(Prediction(class_logits=classes), classes.shape[1]),
            "mask_entropy": weight * self.robust_entropy(Prediction(mask_logits=pixels), 2),
        }

    def styled(self, images, targets):
        """Return images whose amplitudes, at frequencies below beta, are those of target images (eq. 3)."""
        import torch

        targets = targets[blocks.repeated(len(targets), len(images))]
        source, target = (torch.fft.fftshift(torch.fft.fft2(x), (2, 3)) for x in (images, targets))
        side = images.shape[-1]
        reach = math.floor(side * self.hyperparameters.beta)
        low = (torch.arange(side, device=images.device) - side // 2).abs() <= reach
        amplitude = target.abs().where(low[:, None] & low, source.abs())
        changed = torch.fft.ifftshift(torch.polar(amplitude, source.angle()), (2, 3))
        return torch.fft.ifft2(changed).real

    def robust_entropy(self, prediction, classes):
        """Return the mean of (h^2 + 1e-8)^power, h each prediction's entropy over its largest (eq. 5)."""
        share = blocks.entropies(prediction) / math.log(classes)
        return ((share.square() + 1e-8) ** self.hyperparameters.power).mean()
