"""Adaptation at test time: the statistics of batch normalisation."""

from mmbench.baselines.tent import Tent
from mmbench.baselines.umtl import UMTL

from mmbench.methods import Adaptation, blocks, register_method


@register_method("bn_adapt", reference="Schneider et al. 2020, arXiv:2006.16971")
class BNAdapt(UMTL):
    """UMTL whose batch normalisation uses statistics of the images that it predicts."""

    trained_as = "umtl"
    adaptation = Adaptation(batch_size=64, episodic=True)

    class Hyperparameters(UMTL.Hyperparameters):
        """How many images the statistics of the training count as, beside those of the batch."""

        prior: float = 0.0

    @classmethod
    def skip(cls, problem):
        """Return that there is nothing to adapt, as of TENT."""
        return Tent.skip(problem)

    def adapt(self, images, task):
        """Move the statistics to N / (N + n) of the training's and n / (N + n) of n images' (eq. 2)."""
        count = len(images)
        with blocks.statistics_moved(self.network, count / (self.hyperparameters.prior + count)):
            self.predict(images, task)
