"""Methods that train one network: what they share beside their losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mmbench.methods.base import CLASSIFICATION, SEGMENTATION, Hyperparameters, Method, Prediction, Problem
from mmbench.methods.terms import together
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    from torch import Tensor

    from mmbench.networks.multitask import MultitaskNetwork


class BridgeHyperparameters(Hyperparameters):
    """Hyper-parameters of the saliency bridge."""

    bridge: Literal["both", "image", "saliency", "shuffled", "none"] = "both"
    """What joins the decoder: image and saliency map, one of them, the image and the map with its
    pixels shuffled, or nothing."""
    saliency_scale: Literal["raw", "minmax"] = "raw"
    """``minmax`` stretches each map to [0, 1]; the released script leaves it as it is."""


class NetworkMethod(Method):
    """A method with one network, built for the method's tasks and predicting them."""

    def build(self, problem: Problem) -> None:
        """Make ``self.network`` with the parts that the tasks need."""
        self.network = self.make_network(problem)

    def make_network(self, problem: Problem) -> MultitaskNetwork:
        """Return a network with the parts that the problem's tasks need, for methods that train several."""
        from mmbench.networks import build_network

        return build_network(
            problem.backbone,
            classify=CLASSIFICATION in problem.tasks,
            segment=SEGMENTATION in problem.tasks,
            image_size=problem.image_size,
            num_classes=problem.num_classes,
            num_structures=problem.num_structures,
            bridge=getattr(self.hyperparameters, "bridge", "none"),
            saliency_scale=getattr(self.hyperparameters, "saliency_scale", "raw"),
        )

    def predict(self, images: Tensor, task: Task) -> Prediction:
        """Return the class logits or the mask logits of images."""
        network = self.evaluated()
        if task is CLASSIFICATION:
            return Prediction(class_logits=network.classify(images))
        return Prediction(mask_logits=network.segment(images))

    def evaluated(self) -> MultitaskNetwork:
        """Return the network that predicts; a method with a teacher may return that."""
        return self.network

    def classify(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Return class logits for each batch, computed in one pass."""
        return together(self.network.classify, *batches)

    def segment(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Return mask logits for each batch, computed in one pass."""
        return together(self.network.segment, *batches)

    def classify_without_gradient(self, images: Tensor) -> Tensor:
        """Return class logits that no gradient flows into, for pseudo-labels."""
        import torch

        with torch.no_grad():
            return self.network.classify(images)
