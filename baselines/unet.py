"""The publication's segmentation-only baseline."""

from typing import Annotated

from mmbench.methods import LABELED_SEGMENTATION, SEGMENTATION, NetworkMethod, Range, register_method, terms


@register_method("unet", reference="Ronneberger et al. 2015, as in Haque et al. 2021")
class UNet(NetworkMethod):
    """Segmentation only, from labelled masks."""

    tasks = {SEGMENTATION}
    streams = {LABELED_SEGMENTATION}

    class Hyperparameters(NetworkMethod.Hyperparameters):
        """Weight of the Dice loss: alpha of eq. 2."""

        dice_weight: Annotated[float, Range(0.5, 50, log=True)] = 5.0

    def losses(self, batch):
        """Return alpha * Dice(labelled)."""
        labeled = batch[LABELED_SEGMENTATION]
        (logits,) = self.segment(labeled.images)
        return {"dice": self.weighted_dice(logits, labeled.masks)}

    def weighted_dice(self, logits, masks):
        """Return alpha * Dice of mask logits."""
        return self.hyperparameters.dice_weight * terms.dice(logits, masks)
