"""Weights of the tasks by learned uncertainty."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import Range, register_method


@register_method("uncertainty", reference="Kendall et al. 2018, arXiv:1705.07115")
class Uncertainty(UMTL):
    """UMTL whose two losses are weighted by learned variances."""

    family = "multitask"

    class Hyperparameters(UMTL.Hyperparameters):
        """What the log variances start from."""

        log_variance: Annotated[float, Range(-2, 1)] = -0.5

    def build(self, problem):
        """Make the network, and a log variance for each loss."""
        import torch
        from torch import nn

        super().build(problem)
        start = self.hyperparameters.log_variance
        self.log_variances = nn.ParameterDict(
            {name: torch.tensor(start) for name in ("cross_entropy", "dice")}
        )

    def losses(self, batch):
        """Return each of UMTL's terms as exp(-s) L + s / 2, with its log variance s (eq. 10)."""
        logs = self.log_variances
        return {
            name: (-logs[name]).exp() * term + logs[name] / 2 for name, term in super().losses(batch).items()
        }
