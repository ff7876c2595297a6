"""Consistency with an averaged teacher, for both tasks."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
    Range,
    Views,
    blocks,
    register_method,
)


@register_method("mean_teacher", reference="Tarvainen and Valpola 2017, arXiv:1703.01780")
class MeanTeacher(UMTL):
    """UMTL whose unlabelled predictions follow those of its averaged weights, which are evaluated."""

    streams = UMTL.streams | {UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION}
    views = {UNLABELED_CLASSIFICATION: Views(weak=2)}

    class Hyperparameters(UMTL.Hyperparameters):
        """Decay of the average; weight of consistency, and the share of steps over which it ramps up."""

        decay: float = 0.99
        consistency_weight: Annotated[float, Range(0.01, 10, log=True)] = 0.1
        ramp: float = 0.4

    def build(self, problem):
        """Make the network and its teacher."""
        super().build(problem)
        self.teacher = blocks.teacher_of(self.network)
        self.ramp_steps = self.hyperparameters.ramp * problem.steps

    def losses(self, batch):
        """Return UMTL's, and the ramped mean squared distances from the teacher's probabilities."""
        images, masks = batch[UNLABELED_CLASSIFICATION], batch[UNLABELED_SEGMENTATION]
        classes = self.network.classify(images.images).softmax(1)
        class_target = self.teacher.classify(images.weak[1]).softmax(1)
        weight = self.hyperparameters.consistency_weight * blocks.sigmoid_ramp(batch.step, self.ramp_steps)
        return {
            **super().losses(batch),
            "class_consistency": weight * (classes - class_target).square().mean(),
            "mask_consistency": weight * self.mask_distance(masks.images, batch.step),
        }

    def mask_distance(self, images, step):
        """Return the mean squared distance between the pixels' probabilities of network and teacher."""
        pixels = self.network.segment(images).sigmoid()
        target = self.teacher.segment(blocks.clipped_noise(images)).sigmoid()
        return (pixels - target).square().mean()

    def after_step(self, step):
        """Move the teacher."""
        blocks.follow(self.teacher, self.network, self.hyperparameters.decay)

    def evaluated(self):
        """Return the teacher."""
        return self.teacher
