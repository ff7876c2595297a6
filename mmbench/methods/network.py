"""Methods that train one network: what they share beside their losses."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mmbench.methods.base import CLASSIFICATION, SEGMENTATION, Hyperparameters, Method, Prediction, Problem
from mmbench.methods.terms import together

if TYPE_CHECKING:
    from torch import Tensor

    from mmbench.networks import MultitaskNetwork


class BridgeHyperparameters(Hyperparameters):
    """Hyper-parameters of the saliency bridge."""

    bridge: Literal["both", "image", "saliency", "shuffled", "none"] = "both"
    """What joins the decoder: image and saliency map, one of them, the image and the map with its
    pixels shuffled, or nothing."""
    saliency_scale: Literal["raw", "minmax"] = "raw"
    """``minmax`` stretches each map to [0, 1]; the released script leaves it as it is."""


class NetworkPrediction(Prediction):
    """A network's class and mask logits, each computed when it is first asked for.

    A domain is evaluated on one task, and the other task's part may be the dearer one.
    """

    def __init__(self, network: MultitaskNetwork, images: Tensor):
        self._network, self._images = network, images

    @cached_property
    def class_logits(self) -> Tensor | None:  # type: ignore[override]
        """Shape (N, classes), or None without a classification head."""
        return self._network.classify(self._images) if self._network.classifies else None

    @cached_property
    def mask_logits(self) -> Tensor | None:  # type: ignore[override]
        """Shape (N, 1, H, W), or None without a mask decoder."""
        return self._network.segment(self._images) if self._network.segments else None


class NetworkMethod(Method):
    """A method with one network, built for the method's tasks and predicting them."""

    def build(self, problem: Problem) -> None:
        """Make ``self.network`` with the parts that the tasks need."""
        from mmbench.networks import build_network

        self.network = build_network(
            problem.backbone,
            classify=CLASSIFICATION in problem.tasks,
            segment=SEGMENTATION in problem.tasks,
            image_size=problem.image_size,
            num_classes=problem.num_classes,
            bridge=getattr(self.hyperparameters, "bridge", "none"),
            saliency_scale=getattr(self.hyperparameters, "saliency_scale", "raw"),
        )

    def predict(self, images: Tensor) -> Prediction:
        """Return class logits and mask logits for the tasks that the network learned."""
        return NetworkPrediction(self.network, images)

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
