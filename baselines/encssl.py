"""The publication's semi-supervised classifier: Enc with pseudo-labels."""

from typing import Annotated

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    UNLABELED_CLASSIFICATION,
    NetworkMethod,
    Range,
    Views,
    register_method,
    terms,
)


@register_method("encssl", reference="Haque et al. 2021; Sohn et al. 2020 (FixMatch)")
class EncSSL(NetworkMethod):
    """Classification only, with pseudo-labels of confident weak views for strong views."""

    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION}
    views = {UNLABELED_CLASSIFICATION: Views(strong=1)}

    class Hyperparameters(NetworkMethod.Hyperparameters):
        """Weight lambda of eq. 1 and the threshold t on the confidence."""

        pseudo_label_weight: Annotated[float, Range(0.025, 2.5, log=True)] = 0.25
        confidence: Annotated[float, Range(0.5, 0.99)] = 0.7

    def losses(self, batch):
        """Return CE(labelled) + lambda * CE(strong, argmax weak) where max weak >= t (eq. 1)."""
        labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
        values = self.hyperparameters
        logits, strong = self.classify(labeled.images, unlabeled.strong[0])
        weak = self.classify_without_gradient(unlabeled.images)
        return {
            "cross_entropy": terms.cross_entropy(logits, labeled.labels),
            "pseudo_label": values.pseudo_label_weight * terms.pseudo_label(weak, strong, values.confidence),
        }
