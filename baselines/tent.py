"""Adaptation at test time: less entropy by the affine weights of batch normalisation."""

from mmbench.baselines.umtl import UMTL

from mmbench.methods import Adaptation, blocks, register_method


@register_method("tent", reference="Wang et al. 2021, arXiv:2006.10726")
class Tent(UMTL):
    """UMTL that adapts its batch normalisation to the images that it predicts."""

    trained_as = "umtl"
    adaptation = Adaptation(batch_size=64)

    class Hyperparameters(UMTL.Hyperparameters):
        """Learning rate of the adaptation, by Adam."""

        adaptation_rate: float = 1e-3

    @classmethod
    def skip(cls, problem):
        """Return that the published network has nothing to adapt, where it is asked for."""
        if problem.backbone.name == "paper_unet" and problem.backbone.norm != "batch":
            return "paper_unet has no batch normalisation; add norm: batch to it, or take smp:unet/resnet18"
        return None

    def begin_adaptation(self, task):
        """Let batch normalisation use each batch's own statistics, and nothing but its weights learn."""
        from torch.optim import Adam

        weights = blocks.normalise_by_batch(self.network)
        self.adam = Adam(weights, self.hyperparameters.adaptation_rate)

    def adapt(self, images, task):
        """Take one step down the mean entropy of the batch's predictions."""
        self.adam.zero_grad()
        blocks.entropy(self.predict(images, task)).backward()
        self.adam.step()
