"""Constant predictors: what a row of the table must clear to have learned anything."""

import zlib

from mmbench.methods import CLASSIFICATION, SEGMENTATION, Method, Prediction, register_method


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
    """Gives images a probability of pneumonia without looking at them."""

    tasks = {CLASSIFICATION}

    def start(self, labeled):
        """Keep the share of pneumonia among the labelled images."""
        self.prevalence = labeled.labels.double().mean().item()

    def state(self):
        """Return the prevalence."""
        return {"prevalence": self.prevalence}

    def load_state(self, state):
        """Restore the prevalence."""
        self.prevalence = state["prevalence"]

    def probability(self, images):
        """Return the probability of pneumonia, shape (N,)."""
        raise NotImplementedError

    def predict(self, images, task):
        """Return class logits whose softmax is ``probability``."""
        import torch

        logit = torch.logit(self.probability(images).to(images), eps=1e-6)
        return Prediction(class_logits=torch.stack([torch.zeros_like(logit), logit], 1))


@register_method("majority")
class Majority(TrivialClassifier):
    """Trivial baseline: every image is of the source's majority class, with the source's prevalence."""

    def probability(self, images):
        """Return the prevalence for every image."""
        return images.new_full((len(images),), self.prevalence)


@register_method("positive")
class Positive(TrivialClassifier):
    """Trivial baseline: every image shows pneumonia."""

    def probability(self, images):
        """Return 1 for every image."""
        return images.new_ones(len(images))


@register_method("prevalence")
class Prevalence(TrivialClassifier):
    """Trivial baseline: a coin for each image, weighted by the source's prevalence."""

    seeded = True

    def probability(self, images):
        """Return 1 for a share ``prevalence`` of images; an image keeps its coin whatever its batch."""
        import numpy as np

        pixels = images.detach().cpu().numpy()
        coins = [
            np.random.default_rng([self.problem.seed, zlib.crc32(image.tobytes())]).random()
            for image in pixels
        ]
        return images.new_tensor([float(coin < self.prevalence) for coin in coins])


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
        return Prediction(mask_logits=logits.expand(len(images), 1, *logits.shape))
