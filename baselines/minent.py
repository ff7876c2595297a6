"""Unsupervised domain adaptation: less entropy on unlabelled images of the targets."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    UNLABELED_TARGET_CLASSIFICATION,
    UNLABELED_TARGET_SEGMENTATION,
    Prediction,
    Range,
    blocks,
    register_method,
)


@register_method("minent", reference="Grandvalet and Bengio 2004; Vu et al. 2019, arXiv:1811.12833 (MinEnt)")
class MinEnt(UMTL):
    """UMTL that is to be sure of its predictions on images of the targets, which it sees without labels."""

    streams = UMTL.streams | {UNLABELED_TARGET_CLASSIFICATION, UNLABELED_TARGET_SEGMENTATION}

    class Hyperparameters(UMTL.Hyperparameters):
        """Weight of the entropies, in nats."""

        entropy_weight: Annotated[float, Range(0.0001, 0.1, log=True)] = 0.001

    def losses(self, batch):
        """Return UMTL's, and the weighted mean entropies of both tasks on target images."""
        images, masks = batch[UNLABELED_TARGET_CLASSIFICATION], batch[UNLABELED_TARGET_SEGMENTATION]
        (classes,), (pixels,) = self.classify(images.images), self.segment(masks.images)
        weight = self.hyperparameters.entropy_weight
        return {
            **super().losses(batch),
            "class_entropy": weight * blocks.entropy(Prediction(class_logits=classes)),
            "mask_entropy": weight * blocks.entropy(Prediction(mask_logits=pixels)),
        }
