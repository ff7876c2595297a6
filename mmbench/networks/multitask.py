"""A body with a classification head and a mask decoder, joined by the saliency bridge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from mmbench.errors import PluginError
from mmbench.networks.saliency import Bridge, Classifier, SaliencyScale, bridge_input, saliency_map


class Body(nn.Module):
    """What a backbone offers. Images are (N, 1, H, W) in [-1, 1].

    Attributes
    ----------
    weights_digest : str
        sha256 of the weights that it starts from; empty where they are drawn at random.
    """

    weights_digest = ""

    @abstractmethod
    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""

    @abstractmethod
    def classify(self, features: list[Tensor]) -> Tensor:
        """Return class logits, shape (N, classes)."""

    @abstractmethod
    def decode(self, features: list[Tensor], bridge: Tensor | None) -> Tensor:
        """Return mask logits, shape (N, structures, H, W); ``bridge`` is (N, C, H, W)."""

    def encoder_stages(self) -> list[nn.Module]:
        """Return the parts of the encoder that make its feature maps, finest first.

        Raises
        ------
        PluginError
            If the backbone has no such parts, or does not say which they are.
        """
        raise PluginError("this backbone does not say which parts make its encoder's feature maps")

    def decoder_stages(self) -> list[nn.Module]:
        """Return the parts of the decoder that make its feature maps, coarsest first.

        Raises
        ------
        PluginError
            If the backbone has no such parts, or does not say which they are.
        """
        raise PluginError("this backbone does not say which parts make its decoder's feature maps")


class MultitaskNetwork(Classifier):
    """One encoder, two heads, and the bridge between them.

    Parameters
    ----------
    body : Body
        The backbone.
    bridge : {'both', 'image', 'saliency', 'shuffled', 'none'}
        What joins the decoder.
    saliency_scale : {'raw', 'minmax'}
        See :func:`mmbench.networks.saliency.saliency_map`.
    """

    def __init__(self, body: Body, bridge: Bridge, saliency_scale: SaliencyScale):
        super().__init__()
        self.body = body
        self.bridge = bridge
        self.saliency_scale = saliency_scale

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits, shape (N, classes)."""
        return self.body.classify(self.body.encode(images))

    def segment(self, images: Tensor, perturb: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return mask logits, shape (N, structures, H, W).

        Parameters
        ----------
        images : Tensor
            Shape (N, 1, H, W), in [-1, 1].
        perturb : callable, optional
            What each of the encoder's feature maps, shape (N, C, H', W'), goes through on its way to the
            decoder, for consistency between perturbed features.
        """
        bridge = None
        if self.bridge != "none":
            saliency = None if self.bridge == "image" else self.saliency(images)
            bridge = bridge_input(images, saliency, self.bridge)
        features = self.body.encode(images)
        if perturb is not None:
            features = [perturb(feature) for feature in features]
        return self.body.decode(features, bridge)

    def saliency(self, images: Tensor) -> Tensor:
        """Return the saliency map of each image, shape (N, 1, H, W)."""
        return saliency_map(self, images, scale=self.saliency_scale)
