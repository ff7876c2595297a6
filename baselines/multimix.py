"""MultiMix (Haque, Imran, Wang, Terzopoulos: ISBI 2021; MELBA 2021:011)."""

from mmbench.baselines.encssl import EncSSL

from mmbench.methods import (
    LABELED_SEGMENTATION,
    SEGMENTATION,
    UNLABELED_SEGMENTATION,
    BridgeHyperparameters,
    register_method,
    terms,
)


@register_method("multimix", reference="Haque et al., ISBI 2021 and MELBA 2021:011")
class MultiMix(EncSSL):
    """Both tasks, semi-supervised, with a saliency bridge from the classifier to the mask decoder."""

    tasks = EncSSL.tasks | {SEGMENTATION}
    streams = EncSSL.streams | {LABELED_SEGMENTATION, UNLABELED_SEGMENTATION}

    class Hyperparameters(EncSSL.Hyperparameters, BridgeHyperparameters):
        """EncSSL's and the bridge's, with the weights alpha and beta of eq. 2.

        ``segmentation_kl: none`` is what the released script amounts to.
        """

        dice_weight: float = 5.0
        segmentation_kl: terms.SegmentationKL = "bernoulli"
        segmentation_kl_weight: float = 0.01

    def losses(self, batch):
        """Return L_c of eq. 1 + alpha * Dice(labelled) + beta * KL(labelled || unlabelled) (eq. 2)."""
        labeled, unlabeled = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        values = self.hyperparameters
        masks, unlabeled_masks = self.segment(labeled.images, unlabeled.images)
        kl = terms.segmentation_kl(masks, unlabeled_masks, values.segmentation_kl)
        return {
            **EncSSL.losses(self, batch),
            "dice": values.dice_weight * terms.dice(masks, labeled.masks),
            "segmentation_kl": values.segmentation_kl_weight * kl,
        }
