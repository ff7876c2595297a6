"""Cross pseudo supervision: two networks teach each other masks."""

from dataclasses import replace
from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    LABELED_SEGMENTATION,
    SEGMENTATION,
    UNLABELED_SEGMENTATION,
    Range,
    blocks,
    register_method,
)


@register_method("cps", reference="Chen et al. 2021, arXiv:2106.01226")
class CPS(UMTL):
    """UMTL beside a second segmentation network; each learns the other's masks. The first is evaluated."""

    streams = UMTL.streams | {UNLABELED_SEGMENTATION}
    published = {
        "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        "schedule": {"name": "poly", "power": 0.9},
    }

    class Hyperparameters(UMTL.Hyperparameters):
        """Weight of the pseudo-masks, and the share of steps over which it ramps up."""

        pseudo_mask_weight: Annotated[float, Range(0.01, 1, log=True)] = 0.1
        ramp: float = 0.4

    def build(self, problem):
        """Make the two networks, which start from different weights."""
        super().build(problem)
        self.second = self.make_network(replace(problem, tasks=frozenset({SEGMENTATION})))
        self.ramp_steps = self.hyperparameters.ramp * problem.steps

    def losses(self, batch):
        """Return UMTL's, the second network's Dice, and the cross-entropy of each with the other's masks."""
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        labeled, unlabeled = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        first, second = (net.segment(unlabeled.images) for net in (self.network, self.second))
        taught = cross_entropy(first, (second > 0).float()) + cross_entropy(second, (first > 0).float())
        weight = self.hyperparameters.pseudo_mask_weight * blocks.sigmoid_ramp(batch.step, self.ramp_steps)
        return {
            **super().losses(batch),
            "second_dice": self.weighted_dice(self.second.segment(labeled.images), labeled.masks),
            "pseudo_masks": weight * taught,
        }
