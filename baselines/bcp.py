"""Bidirectional copy-paste of labelled and unlabelled images."""

from typing import Annotated

from mmbench.baselines.enc import Enc
from mmbench.baselines.umtl import UMTL

from mmbench.methods import LABELED_SEGMENTATION, UNLABELED_SEGMENTATION, Range, blocks, register_method


@register_method("bcp", reference="Bai et al. 2023, arXiv:2305.00673")
class BCP(UMTL):
    """Enc beside a U-Net that segments pasted images; masks of unlabelled ones are a teacher's.

    First labelled images are pasted into each other, for a quarter of the steps as published (10,000 of
    40,000); then labelled into unlabelled ones and the other way round, with a teacher that starts from what
    was learned. A pseudo-mask keeps all its parts, not the largest alone: there are two lungs.
    """

    streams = UMTL.streams | {UNLABELED_SEGMENTATION}
    published = {"optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4}}

    class Hyperparameters(UMTL.Hyperparameters):
        """Share of steps before the teacher; its decay and weight; the box's side by the image's."""

        pretraining: Annotated[float, Range(0.1, 0.5)] = 0.25
        decay: float = 0.99
        unlabeled_weight: Annotated[float, Range(0.05, 5, log=True)] = 0.5
        box: float = 2 / 3

    def build(self, problem):
        """Make the network and its teacher."""
        super().build(problem)
        self.teacher = blocks.teacher_of(self.network)
        self.taught = False

    def stages(self):
        """Return where the teacher begins."""
        return [self.hyperparameters.pretraining]

    def begin_stage(self, number, pools):
        """Let the teacher be what was learned so far."""
        blocks.follow(self.teacher, self.network, 0.0)
        self.taught = True

    def losses(self, batch):
        """Return Enc's, and the loss of both ways of pasting (eqs. 1 to 7)."""
        labeled, unlabeled = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        images, masks, weight = labeled.images, labeled.masks, 1.0
        others, other_masks = images.roll(1, 0), masks.roll(1, 0)
        if self.taught:
            others, weight = unlabeled.images, self.hyperparameters.unlabeled_weight
            other_masks = (self.teacher.segment(others) > 0).float()
            # A step may have more unlabelled images than labelled ones: these are then used again.
            again = blocks.repeated(len(images), len(others))
            images, masks = images[again], masks[again]
        box = blocks.random_box(images, self.hyperparameters.box)
        return {
            **Enc.losses(self, batch),
            "outwards": self.pasted(others, images, other_masks, masks, box, weight, 1.0),
            "inwards": self.pasted(images, others, masks, other_masks, box, 1.0, weight),
        }

    def pasted(self, inside, outside, inside_masks, outside_masks, box, inside_weight, outside_weight):
        """Return the Dice loss and cross-entropy of an image pasted into another, each part by its weight."""
        logits = self.network.segment(inside.where(box, outside))
        return inside_weight * self.region_loss(
            logits, inside_masks, box
        ) + outside_weight * self.region_loss(logits, outside_masks, ~box)

    def region_loss(self, logits, masks, region):
        """Return alpha times the mean of Dice loss and cross-entropy in a region of each image."""
        from mmbench.methods import terms

        dice = terms.dice(logits, masks, region=region)
        return (
            self.hyperparameters.dice_weight * (dice + terms.pixel_cross_entropy(logits, masks, region)) / 2
        )

    def after_step(self, step):
        """Move the teacher, once it has begun."""
        if self.taught:
            blocks.follow(self.teacher, self.network, self.hyperparameters.decay)

    def state(self):
        """Return whether the teacher has begun."""
        return {"taught": self.taught}

    def load_state(self, state):
        """Restore it."""
        self.taught = state["taught"]
