"""Weights by which the losses of the tasks fall at the same pace."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    Batch,
    Range,
    StreamBatch,
    blocks,
    register_method,
)

SMALLEST = 1e-8


@register_method("famo", reference="Liu et al. 2023, arXiv:2306.03792")
class FAMO(UMTL):
    """UMTL whose losses are weighted so that each falls by the same share.

    After each step the losses are computed once more on its images, as in the official code.
    """

    family = "multitask"

    class Hyperparameters(UMTL.Hyperparameters):
        """Learning rate and decay of the weights' logits."""

        weight_rate: Annotated[float, Range(0.0025, 0.25, log=True)] = 0.025
        weight_decay: float = 0.001

    def build(self, problem):
        """Make the network, the logits of the losses' weights, and the averages that Adam keeps."""
        import torch

        super().build(problem)
        zeros = torch.zeros(2)
        self.balance = blocks.running(logits=zeros, gradient=zeros, square=zeros)

    def losses(self, batch):
        """Return z log L / sum(z / L) of each of UMTL's terms L, with weights z that sum to 1 (alg. 1)."""
        import torch

        found = super().losses(batch)
        values = torch.stack(list(found.values())).float() + SMALLEST
        classes, masks = batch[LABELED_CLASSIFICATION], batch[LABELED_SEGMENTATION]
        self.observe(values=values[None], images=classes.images, labels=classes.labels)
        self.observe(segmented=masks.images, masks=masks.masks)
        weights = self.balance.logits.softmax(0)
        scaled = weights * values.log() / (weights / values).sum().detach()
        return dict(zip(found, scaled, strict=True))

    def after_step(self, step):
        """Move the weights towards the loss that fell by the smaller share."""
        import torch

        seen = self.observed
        images = {
            LABELED_CLASSIFICATION: StreamBatch(seen("images"), labels=seen("labels")),
            LABELED_SEGMENTATION: StreamBatch(seen("segmented"), masks=seen("masks")),
        }
        with torch.no_grad():
            now = torch.stack(list(super().losses(Batch(images, step)).values())).float() + SMALLEST
        fall = seen("values").mean(0).log() - now.log()
        weights = self.balance.logits.softmax(0)
        # The softmax's Jacobian times the fall; the decay is Adam's, a part of the gradient.
        gradient = weights * (fall - weights @ fall) + self.hyperparameters.weight_decay * self.balance.logits
        self.adam(gradient, step)

    def adam(self, gradient, step, decays=(0.9, 0.999)):
        """Take one step of Adam (Kingma and Ba 2015, arXiv:1412.6980) with the logits."""
        balance = self.balance
        blocks.follow_values(balance, decays[0], gradient=gradient)
        blocks.follow_values(balance, decays[1], square=gradient.square())
        mean, square = balance.gradient / (1 - decays[0] ** step), balance.square / (1 - decays[1] ** step)
        balance.logits -= self.hyperparameters.weight_rate * mean / (square.sqrt() + 1e-8)
