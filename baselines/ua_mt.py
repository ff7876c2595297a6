"""Mean Teacher that follows only the pixels that the teacher is certain of."""

import math

from mmbench.baselines.mean_teacher import MeanTeacher

from mmbench.methods import blocks, register_method


@register_method("ua_mt", reference="Yu et al. 2019, arXiv:1907.07034")
class UAMT(MeanTeacher):
    """Mean Teacher; pixels count where several passes of the teacher, with dropout and noise, agree.

    Classes are Mean Teacher's. The official code has no consistency in the first 1,000 steps; here it counts
    from the first on, by its ramp.
    """

    class Hyperparameters(MeanTeacher.Hyperparameters):
        """Number of passes."""

        passes: int = 8

    def mask_distance(self, images, step):
        """Return the mean squared distance over the certain pixels (eq. 2)."""
        pixels = self.network.segment(images).sigmoid()
        target = self.teacher.segment(blocks.clipped_noise(images)).sigmoid()
        certain = (self.uncertainty(images) < self.threshold(step)).float()
        distance = (pixels - target).square()
        return (distance * certain).sum() / certain.sum().clamp(min=1)

    def uncertainty(self, images):
        """Return the entropy, in nats, of each pixel's mean probability over the passes (eq. 3)."""
        import torch

        mean = 0.0
        with blocks.dropout_active(self.teacher), torch.no_grad():
            for _ in range(self.hyperparameters.passes):
                mean = mean + self.teacher.segment(blocks.clipped_noise(images)).float().sigmoid()
        mean = mean / self.hyperparameters.passes
        return -(torch.xlogy(mean, mean) + torch.xlogy(1 - mean, 1 - mean))

    def threshold(self, step):
        """Return the entropy below which a pixel is certain: from 3/4 of the largest up to all of it."""
        return (0.75 + 0.25 * blocks.sigmoid_ramp(step, self.ramp_steps)) * math.log(2)
