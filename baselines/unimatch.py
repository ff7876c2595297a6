"""Pseudo-masks of weak views for strong views, CutMix, and perturbed features."""

from typing import Annotated

from mmbench.baselines.umtl import UMTL

from mmbench.methods import UNLABELED_SEGMENTATION, Range, Views, register_method


@register_method("unimatch", reference="Yang et al. 2023, arXiv:2208.09910")
class UniMatch(UMTL):
    """UMTL whose masks of strong views and of perturbed features follow the weak view's confident ones."""

    streams = UMTL.streams | {UNLABELED_SEGMENTATION}
    published = {
        "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        "schedule": {"name": "poly", "power": 0.9},
    }
    views = {UNLABELED_SEGMENTATION: Views(strong=2, cutmix=0.5)}

    class Hyperparameters(UMTL.Hyperparameters):
        """Threshold on a pixel's confidence, rate of dropped feature channels, and the terms' weights."""

        confidence: Annotated[float, Range(0.5, 0.99)] = 0.95
        feature_dropout: Annotated[float, Range(0, 0.9)] = 0.5
        strong_weight: float = 0.25
        feature_weight: float = 0.5

    def losses(self, batch):
        """Return UMTL's, and cross-entropy with what the weak view is sure of."""
        import torch
        from torch.nn import functional

        values, unlabeled = self.hyperparameters, batch[UNLABELED_SEGMENTATION]
        with torch.no_grad():
            probability = self.network.segment(unlabeled.images).sigmoid()
        mask = (probability > 0.5).float()
        sure = (torch.maximum(probability, 1 - probability) >= values.confidence).float()

        def distance(logits, mask, sure):
            return (functional.binary_cross_entropy_with_logits(logits, mask, reduction="none") * sure).mean()

        found = super().losses(batch)
        for number, (mix, strong) in enumerate(zip(unlabeled.cutmix, unlabeled.strong, strict=True), 1):
            term = distance(self.network.segment(mix.paste(strong)), mix.paste(mask), mix.paste(sure))
            found[f"strong_{number}"] = values.strong_weight * term
        dropped = self.network.segment(
            unlabeled.images, lambda feature: functional.dropout2d(feature, values.feature_dropout)
        )
        return {**found, "features": values.feature_weight * distance(dropped, mask, sure)}
