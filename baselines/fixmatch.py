"""Pseudo-labels of confident weak views for strong views."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import UNLABELED_CLASSIFICATION, Range, Views, register_method


@register_method("fixmatch", reference="Sohn et al. 2020, arXiv:2001.07685")
class FixMatch(UMTL):
    """UMTL whose classes of strong views follow the weak views' where these are sure.

    ``umtl_ssl`` is the same with the threshold .7 and the weight .25 of Haque et al. (2021).
    """

    streams = UMTL.streams | {UNLABELED_CLASSIFICATION}
    views = {UNLABELED_CLASSIFICATION: Views(strong=1)}
    published = {
        "unlabeled_ratio": 7,
        "ema": 0.999,
        "optimizer": {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9, "weight_decay": 5e-4},
    }

    class Hyperparameters(UMTL.Hyperparameters):
        """Weight of the pseudo-labels, and the threshold on their confidence."""

        pseudo_label_weight: Annotated[float, Range(0.1, 10, log=True)] = 1.0
        confidence: Annotated[float, Range(0.5, 0.99)] = 0.95

    def losses(self, batch):
        """Return UMTL's, and those of the pseudo-labels."""
        unlabeled = batch[UNLABELED_CLASSIFICATION]
        (strong,) = self.classify(unlabeled.strong[0])
        weak = self.classify_without_gradient(unlabeled.images).float().softmax(1)
        return {**super().losses(batch), **self.pseudo_labels(weak, strong.float(), unlabeled.rows)}

    def pseudo_labels(self, weak, strong, rows):
        """Return the cross-entropy with the labels of sure weak views (eq. 4)."""
        return {"pseudo_label": self.weighted(weak, strong, weak.amax(1) >= self.hyperparameters.confidence)}

    def weighted(self, weak, strong, weights):
        """Return the weighted mean, over all images, of each one's weight times its cross-entropy."""
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(strong, weak.argmax(1), reduction="none")
        return self.hyperparameters.pseudo_label_weight * (loss * weights).mean()
