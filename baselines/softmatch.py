"""Every pseudo-label counts, by how sure it is among all."""

from typing import Annotated, Literal

from mmbench.baselines.fixmatch import FixMatch
from mmbench.baselines.umtl import UMTL

from mmbench.methods import Range, blocks, register_method


@register_method("softmatch", reference="Chen et al. 2023, arXiv:2301.10921")
class SoftMatch(FixMatch):
    """FixMatch with Gaussian weights in place of a threshold.

    The published alignment is to a uniform distribution of classes, which chest X-rays are far from; here
    it is to that of the labels, unless ``alignment`` says ``uniform``. The averages are those of the steps
    before, where the official code counts the step's own in.
    """

    class Hyperparameters(UMTL.Hyperparameters):
        """Weight of the pseudo-labels; what predictions are aligned to; width and decay of the averages."""

        pseudo_label_weight: Annotated[float, Range(0.1, 10, log=True)] = 1.0
        alignment: Literal["labels", "uniform"] = "labels"
        deviations: float = 2.0
        decay: float = 0.999

    def build(self, problem):
        """Make the network, and averages that start from a uniform guess."""
        import torch

        super().build(problem)
        uniform = torch.full((problem.num_classes,), 1 / problem.num_classes)
        self.running = blocks.running(
            mean=uniform[0], variance=torch.ones(()), probability=uniform, aim=uniform
        )

    def start(self, labeled):
        """Count the labels."""
        if self.hyperparameters.alignment == "labels":
            counts = labeled.labels.bincount(minlength=len(self.running.aim))
            self.running.aim.copy_(counts / counts.sum())

    def confidence(self, weak):
        """Return the largest probability of each image, aligned: p aim / mean p, normalised (eq. 9)."""
        aligned = weak * self.running.aim / self.running.probability
        return (aligned / aligned.sum(1, keepdim=True)).amax(1)

    def pseudo_labels(self, weak, strong, rows):
        """Return the cross-entropy, weighted by a Gaussian of the confidence below its mean (eq. 7)."""
        self.observe(weak=weak)
        below = (self.confidence(weak) - self.running.mean).clamp(max=0)
        width = self.running.variance / self.hyperparameters.deviations**2
        return {"pseudo_label": self.weighted(weak, strong, (-below.square() / (2 * width)).exp())}

    def after_step(self, step):
        """Move the averages (eqs. 8 and 9); the mean prediction starts from the first step's."""
        weak, decay = self.observed("weak"), self.hyperparameters.decay
        blocks.follow_values(self.running, decay if step > 1 else 0.0, probability=weak.mean(0))
        surest = self.confidence(weak)
        if len(surest) > 1:
            blocks.follow_values(self.running, decay, mean=surest.mean(), variance=surest.var())
