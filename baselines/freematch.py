"""Thresholds that follow the confidence of the predictions, and fairness between classes."""

from typing import Annotated

from mmbench.baselines.fixmatch import FixMatch
from mmbench.baselines.umtl import UMTL

from mmbench.methods import Range, blocks, register_method


@register_method("freematch", reference="Wang et al. 2023, arXiv:2205.07246")
class FreeMatch(FixMatch):
    """FixMatch with a threshold that is learned, adjusted to each class.

    The averages are those of the steps before, where the official code counts the step's own in.
    """

    class Hyperparameters(UMTL.Hyperparameters):
        """Weights of pseudo-labels and of fairness, and the decay of the averages."""

        pseudo_label_weight: Annotated[float, Range(0.1, 10, log=True)] = 1.0
        fairness_weight: Annotated[float, Range(0.0001, 0.1, log=True)] = 0.001
        decay: float = 0.999

    def build(self, problem):
        """Make the network, and averages that start from a uniform guess."""
        import torch

        super().build(problem)
        uniform = torch.full((problem.num_classes,), 1 / problem.num_classes)
        self.running = blocks.running(confidence=uniform[0], probability=uniform, histogram=uniform)

    def thresholds(self):
        """Return each class's threshold (eq. 8)."""
        running = self.running
        return running.confidence * running.probability / running.probability.max()

    def pseudo_labels(self, weak, strong, rows):
        """Return FixMatch's, with the thresholds of the classes, and fairness."""
        self.observe(weak=weak)
        surest, label = weak.max(1)
        sure = surest >= self.thresholds()[label]
        fairness = self.hyperparameters.fairness_weight * self.fairness(strong, sure)
        return {"pseudo_label": self.weighted(weak, strong, sure), "fairness": fairness}

    def fairness(self, strong, sure):
        """Return the negative cross-entropy between mean predictions, each freed of its histogram (eq. 11).

        A class that no sure strong view is predicted as counts with a probability of 0, as in the official
        code.
        """
        if not sure.any():
            return strong.sum() * 0
        probability = strong[sure].softmax(1)
        expected = _freed(self.running.probability, self.running.histogram)
        found = _freed(probability.mean(0), _histogram(probability))
        return (expected * (found + 1e-12).log()).sum()

    def after_step(self, step):
        """Move the averages (eqs. 5, 6 and 10)."""
        weak = self.observed("weak")
        averages = {
            "confidence": weak.amax(1).mean(),
            "probability": weak.mean(0),
            "histogram": _histogram(weak),
        }
        blocks.follow_values(self.running, self.hyperparameters.decay, **averages)


def _histogram(probability):
    """Return the share of images that each class is the most probable one of."""
    return probability.argmax(1).bincount(minlength=probability.shape[1]) / len(probability)


def _freed(probability, histogram):
    """Return probabilities over the histogram's, normalised; 0 where the histogram is."""
    ratio = (probability / histogram.clamp(min=1e-12)).where(histogram > 0, 0)
    return ratio / ratio.sum()
