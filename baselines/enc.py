"""The publication's classification-only baseline."""

from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, NetworkMethod, register_method, terms


@register_method("enc", reference="Haque et al. 2021")
class Enc(NetworkMethod):
    """Classification only, from labelled images: the U-Net's encoder and a linear head."""

    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION}

    def losses(self, batch):
        """Return CE(labelled)."""
        labeled = batch[LABELED_CLASSIFICATION]
        (logits,) = self.classify(labeled.images)
        return {"cross_entropy": terms.cross_entropy(logits, labeled.labels)}
