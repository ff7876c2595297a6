"""Self-training: the half-trained network labels what has no label, once."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION, Range, register_method, terms


@register_method("self_training", reference="Lee 2013 (ICML workshop); Xie et al. 2020, arXiv:1911.04252")
class SelfTraining(UMTL):
    """UMTL that labels the unlabelled images itself, half-way, and learns from both from then on."""

    streams = UMTL.streams | {UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION}

    class Hyperparameters(UMTL.Hyperparameters):
        """When the labels are made, as a part of the training; threshold on confidence; their weight."""

        labeled_part: float = 0.5
        confidence: Annotated[float, Range(0.5, 0.99)] = 0.9
        pseudo_label_weight: Annotated[float, Range(0.1, 10, log=True)] = 1.0

    classes = masks = None

    def stages(self):
        """Return where the labels are made."""
        return [self.hyperparameters.labeled_part]

    def begin_stage(self, number, pools):
        """Predict all that has no label."""
        import torch

        images, masks = pools[UNLABELED_CLASSIFICATION], pools[UNLABELED_SEGMENTATION]
        self.classes = torch.cat([self.network.classify(batch.images) for batch in images.batches()])
        self.masks = torch.cat([self.network.segment(batch.images) > 0 for batch in masks.batches()])

    def losses(self, batch):
        """Return UMTL's, and the same two for the network's own labels; uncertain classes count as zero."""
        found = super().losses(batch)
        if self.classes is None:
            return found
        images, masks = batch[UNLABELED_CLASSIFICATION], batch[UNLABELED_SEGMENTATION]
        own, weight = self.hyperparameters, self.hyperparameters.pseudo_label_weight
        (classes,), (pixels,) = self.classify(images.images), self.segment(masks.images)
        label = terms.pseudo_label(self.classes[images.rows], classes, own.confidence)
        mask = masks.move(self.masks[masks.rows].float())
        return {**found, "own_labels": weight * label, "own_masks": weight * self.weighted_dice(pixels, mask)}

    def state(self):
        """Return the labels."""
        return {} if self.classes is None else {"classes": self.classes, "masks": self.masks}

    def load_state(self, state):
        """Restore them."""
        self.classes, self.masks = state.get("classes"), state.get("masks")
