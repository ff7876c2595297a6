"""Adaptation at test time: less entropy, where predictions are reliable and the minimum is flat."""

import math

from mmbench.baselines.tent import Tent

from mmbench.methods import CLASSIFICATION, blocks, register_method


@register_method("sar", reference="Niu et al. 2023, arXiv:2302.12400")
class SAR(Tent):
    """TENT on predictions that are sure already, by sharpness-aware steps, begun anew where it collapses.

    An image's entropy is its class's, or the mean of its pixels'. The published thresholds, .4 ln K for an
    image and .2 for a collapse, are for K = 1,000 classes: here both keep their share of the largest entropy.
    The deepest stage of the encoder stays as it is, as in the official code.
    """

    class Hyperparameters(Tent.Hyperparameters):
        """Learning rate and momentum, thresholds as shares of the largest entropy, the radius of a step."""

        adaptation_rate: float = 2.5e-4
        momentum: float = 0.9
        reliable: float = 0.4
        collapsed: float = 0.2 / math.log(1000)
        radius: float = 0.05

    def build(self, problem):
        """Make the network."""
        super().build(problem)
        self.num_classes = problem.num_classes

    def begin_adaptation(self, task):
        """Let the affine weights of batch normalisation learn, but the deepest stage's."""
        blocks.normalise_by_batch(self.network)
        self.network.body.encoder_stages()[-1].requires_grad_(False)
        self.weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.trained = [weight.detach().clone() for weight in self.weights]
        self.begin_anew()

    def begin_anew(self):
        """Take the trained weights again."""
        import torch
        from torch.optim import SGD

        with torch.no_grad():
            for weight, trained in zip(self.weights, self.trained, strict=True):
                weight.copy_(trained)
        own = self.hyperparameters
        self.sgd = SGD(self.weights, own.adaptation_rate, momentum=own.momentum)
        self.average = None

    def adapt(self, images, task):
        """Take one step down the entropy of reliable images, as it is uphill from here (eqs. 2 to 4)."""
        import torch

        largest = math.log(self.num_classes if task is CLASSIFICATION else 2)
        limit = self.hyperparameters.reliable * largest
        before = self.entropies(images, task)
        if not (sure := before < limit).any():
            return
        uphill = torch.autograd.grad(before[sure].mean(), self.weights, materialize_grads=True)
        norm = torch.stack([slope.norm() for slope in uphill]).norm()
        self.walk(uphill, self.hyperparameters.radius / (norm + 1e-12))
        there = self.entropies(images, task)
        slopes = None
        if (still := sure & (there < limit)).any():
            loss = there[still].mean()
            slopes = torch.autograd.grad(loss, self.weights, materialize_grads=True)
            self.average = loss.item() if self.average is None else 0.9 * self.average + 0.1 * loss.item()
        self.walk(uphill, -self.hyperparameters.radius / (norm + 1e-12))
        if slopes is not None:
            for weight, slope in zip(self.weights, slopes, strict=True):
                weight.grad = slope
            self.sgd.step()
        if self.average is not None and self.average < self.hyperparameters.collapsed * largest:
            self.begin_anew()

    def entropies(self, images, task):
        """Return each image's entropy."""
        return blocks.entropies(self.predict(images, task)).reshape(len(images), -1).mean(1)

    def walk(self, slopes, factor):
        """Move the weights along slopes."""
        import torch

        with torch.no_grad():
            for weight, slope in zip(self.weights, slopes, strict=True):
                weight += factor * slope
