"""Guessed and sharpened labels, mixed with the given ones."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL
from mmbench.baselines.unet import UNet

from mmbench.methods import LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION, Range, Views, register_method


@register_method("mixmatch", reference="Berthelot et al. 2019, arXiv:1905.02249")
class MixMatch(UMTL):
    """UMTL that classifies mixtures of labelled and unlabelled images.

    The weight is that of CIFAR-10; it rises linearly over the whole training, as in the official code.
    """

    streams = UMTL.streams | {UNLABELED_CLASSIFICATION}
    views = {UNLABELED_CLASSIFICATION: Views(weak=2)}
    published = {"ema": 0.999, "optimizer": {"name": "adam", "learning_rate": 0.002}}

    class Hyperparameters(UMTL.Hyperparameters):
        """Temperature of sharpening, parameter of MixUp's Beta distribution, weight of guessed labels."""

        temperature: float = 0.5
        alpha: Annotated[float, Range(0.1, 1)] = 0.75
        guess_weight: Annotated[float, Range(1, 100, log=True)] = 75.0

    def build(self, problem):
        """Make the network."""
        super().build(problem)
        self.num_classes, self.steps = problem.num_classes, problem.steps

    def losses(self, batch):
        """Return UNet's, and the errors of mixed labels and of mixed guesses (eqs. 3 and 4)."""
        import torch
        from torch.nn.functional import cross_entropy, one_hot

        labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
        guess = self.guess(unlabeled.weak)
        images = torch.cat([labeled.images, *unlabeled.weak])
        targets = torch.cat(
            [one_hot(labeled.labels, self.num_classes).float(), *[guess] * len(unlabeled.weak)]
        )
        images, targets = self.mix(images, targets)
        count = len(labeled.images)
        (logits,) = self.classify(images)
        logits, weight = logits.float(), self.hyperparameters.guess_weight * batch.step / self.steps
        return {
            **UNet.losses(self, batch),
            "cross_entropy": cross_entropy(logits[:count], targets[:count]),
            "guess": weight * (logits[count:].softmax(1) - targets[count:]).square().mean(),
        }

    def guess(self, views):
        """Return the mean prediction of several views, sharpened: p^(1/T), normalised (eqs. 6 and 7)."""
        mean = sum(self.classify_without_gradient(view).float().softmax(1) for view in views) / len(views)
        power = mean ** (1 / self.hyperparameters.temperature)
        return power / power.sum(1, keepdim=True)

    def mix(self, images, targets):
        """Return each image, and its target, mixed with another one's, which counts less (eqs. 8 to 11)."""
        import torch

        alpha = self.hyperparameters.alpha
        share = torch.distributions.Beta(alpha, alpha).sample((len(images),)).to(images.device)
        share = torch.maximum(share, 1 - share)
        order = torch.randperm(len(images), device=images.device)
        of_images, of_targets = share[:, None, None, None], share[:, None]
        return (
            of_images * images + (1 - of_images) * images[order],
            of_targets * targets + (1 - of_targets) * targets[order],
        )
