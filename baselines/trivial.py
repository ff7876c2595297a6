"""Constant predictors: what a row of the table must clear to have learned anything."""

import zlib

from mmbench.methods import CLASSIFICATION, SEGMENTATION, Method, Prediction, register_method

EPSILON = 1e-6
"""Least probability of a class, so that its logit is finite."""


class TrivialBaseline(Method):
    """A predictor that looks at no image."""

    trivial = True
    seeded = False

    def build(self, problem):
        """Keep the number of classes and the seed; there is no network."""
        self.problem = problem

    def losses(self, batch):
        """Return nothing: there is nothing to train."""
        return {}


class TrivialClassifier(TrivialBaseline):
    """Gives images a probability of each class without looking at them."""

    tasks = {CLASSIFICATION}

    def start(self, labeled):
        """Keep each class's share of the labelled images."""
        import torch

        counts = torch.bincount(labeled.labels, minlength=self.problem.num_classes)
        self.shares = counts.double() / len(labeled.labels)

    def state(self):
        """Return the shares."""
        return {"shares": self.shares}

    def load_state(self, state):
        """Restore the shares; earlier versions kept the second of two alone."""
        import torch

        share = state.get("prevalence")
        self.shares = state["shares"] if share is None else torch.tensor([1 - share, share]).double()

    def probabilities(self, images):
        """Return the probability of each class, shape (N, classes)."""
        raise NotImplementedError

    def predict(self, images, task):
        """Return class logits whose softmax is ``probabilities``."""
        import torch

        # The log odds against the first class; of two classes the logit of the second one's probability.
        given = self.probabilities(images).to(images).clamp(EPSILON, 1 - EPSILON)
        logits = given.log() - given[:, :1].log()
        if self.problem.num_classes == 2:
            logits = torch.stack([torch.zeros_like(given[:, 1]), torch.logit(given[:, 1])], 1)
        return Prediction(class_logits=logits)


@register_method("majority")
class Majority(TrivialClassifier):
    """Trivial baseline: every image has the source's share of each class, and so its largest class."""

    def probabilities(self, images):
        """Return the shares for every image."""
        return self.shares.expand(len(images), -1)


@register_method("positive")
class Positive(TrivialClassifier):
    """Trivial baseline: every image shows pneumonia."""

    @classmethod
    def skip(cls, problem):
        """Return why there is no positive class, where there are more than two."""
        return "of several classes none is the positive one" if problem.num_classes > 2 else None

    def probabilities(self, images):
        """Return 1 for the second class of every image."""
        import torch

        return torch.tensor([0.0, 1.0]).expand(len(images), -1)


@register_method("prevalence")
class Prevalence(TrivialClassifier):
    """Trivial baseline: a class drawn for each image, by the source's shares."""

    seeded = True

    def probabilities(self, images):
        """Return 1 for one class of each image; an image keeps its draw whatever its batch."""
        import numpy as np
        import torch

        draws = [
            np.random.default_rng([self.problem.seed, zlib.crc32(image.tobytes())]).random()
            for image in images.detach().cpu().numpy()
        ]
        # The last class takes the lowest draws, the one before it the next ones, and so on.
        ends = self.shares.flip(0).cumsum(0)[:-1].numpy()
        places = len(ends) - np.searchsorted(ends, draws, side="right")
        return torch.eye(len(self.shares))[torch.from_numpy(places)]


@register_method("mean_mask")
class MeanMask(TrivialBaseline):
    """Trivial baseline: the mean of the labelled masks, for every image."""

    tasks = {SEGMENTATION}

    def start(self, labeled):
        """Average the labelled masks."""
        self.mean = labeled.masks.float().mean(0)

    def state(self):
        """Return the mean mask."""
        return {"mean": self.mean}

    def load_state(self, state):
        """Restore the mean mask."""
        self.mean = state["mean"]

    def predict(self, images, task):
        """Return the mean mask's logits for every image."""
        import torch

        logits = torch.logit(self.mean.to(images), eps=1e-6)
        return Prediction(mask_logits=logits.expand(len(images), *logits.shape))
