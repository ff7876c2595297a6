"""A segmentation method."""

from mmbench.methods import LABELED_SEGMENTATION, SEGMENTATION, NetworkMethod, register_method


@register_method("focal", reference="Lin et al. 2017, arXiv:1708.02002")
class Focal(NetworkMethod):
    """Segmentation with a loss that looks at what is hard."""

    tasks = {SEGMENTATION}
    streams = {LABELED_SEGMENTATION}

    class Hyperparameters(NetworkMethod.Hyperparameters):  # type: ignore[valid-type, misc]
        """Weight of pixels of a structure, and how much easy pixels count less."""

        alpha: float = 0.25
        gamma: float = 2.0

    def losses(self, batch):
        """Return the focal loss of each pixel, averaged."""
        from torchvision.ops import sigmoid_focal_loss

        labeled, own = batch[LABELED_SEGMENTATION], self.hyperparameters
        (logits,) = self.segment(labeled.images)
        return {"focal": sigmoid_focal_loss(logits, labeled.masks, own.alpha, own.gamma, reduction="mean")}
