"""MultiMix (Haque, Imran, Wang, Terzopoulos: ISBI 2021; MELBA 2021:011)."""

from typing import Annotated

from mmbench.baselines.encssl import EncSSL
from mmbench.baselines.umtl_ssl_s import UMTLSSLS

from mmbench.methods import LABELED_SEGMENTATION, UNLABELED_SEGMENTATION, Range, register_method, terms


@register_method("multimix", reference="Haque et al., ISBI 2021 and MELBA 2021:011")
class MultiMix(UMTLSSLS):
    """Both tasks, semi-supervised, with a saliency bridge from the classifier to the mask decoder."""

    streams = UMTLSSLS.streams | {UNLABELED_SEGMENTATION}

    class Hyperparameters(UMTLSSLS.Hyperparameters):
        """UMTL-SSL-S's, with the weight beta of eq. 2.

        ``segmentation_kl: none`` is what the released script amounts to.
        """

        segmentation_kl: terms.SegmentationKL = "bernoulli"
        segmentation_kl_weight: Annotated[float, Range(0.0001, 1, log=True)] = 0.01

    def losses(self, batch):
        """Return UMTL-SSL-S's terms + beta * KL(labelled || unlabelled) (eq. 2)."""
        labeled, unlabeled = batch[LABELED_SEGMENTATION], batch[UNLABELED_SEGMENTATION]
        values = self.hyperparameters
        # Both batches pass through the network together, so UMTL-SSL-S's own pass is not used.
        masks, unlabeled_masks = self.segment(labeled.images, unlabeled.images)
        kl = terms.segmentation_kl(masks, unlabeled_masks, values.segmentation_kl)
        return {
            **EncSSL.losses(self, batch),
            "dice": self.weighted_dice(masks, labeled.masks),
            "segmentation_kl": values.segmentation_kl_weight * kl,
        }
