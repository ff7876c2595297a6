"""Feature statistics mixed between images."""

from functools import partial
from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import Range, register_method


@register_method("mixstyle", reference="Zhou et al. 2021, arXiv:2104.02008")
class MixStyle(UMTL):
    """UMTL whose early features take on means and deviations of other images while it is trained.

    Where a backbone's instance normalisation has just removed them, as in ``paper_unet``, there is little to
    mix.
    """

    family = "domain-generalization"

    class Hyperparameters(UMTL.Hyperparameters):
        """Chance that a batch is mixed, and the parameter of the shares' Beta distribution."""

        probability: Annotated[float, Range(0.1, 1)] = 0.5
        alpha: Annotated[float, Range(0.05, 1, log=True)] = 0.1

    def build(self, problem):
        """Make the network; its second and third stages, ResNet's first two blocks, are mixed."""
        super().build(problem)
        own = self.hyperparameters
        for stage in self.network.body.encoder_stages()[1:3]:
            stage.register_forward_hook(partial(mixed, probability=own.probability, alpha=own.alpha))


def mixed(stage, given, features, *, probability, alpha):
    """Return features with their channels' means and deviations mixed with another image's (eqs. 3 to 5)."""
    import torch

    if not stage.training or not torch.is_grad_enabled() or torch.rand(()) >= probability:
        return features
    mean = features.mean((2, 3), keepdim=True).detach()
    deviation = (features.var((2, 3), keepdim=True) + 1e-6).sqrt().detach()
    share = torch.distributions.Beta(alpha, alpha).sample((len(features), 1, 1, 1)).to(features)
    order = torch.randperm(len(features), device=features.device)
    new_mean = share * mean + (1 - share) * mean[order]
    new_deviation = share * deviation + (1 - share) * deviation[order]
    return (features - mean) / deviation * new_deviation + new_mean
