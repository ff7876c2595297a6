"""The loss terms of the publication, each a mean over images and unweighted.

torch is imported inside the functions so that plugins can be listed without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

SegmentationKL = Literal["bernoulli", "spatial", "none"]


def together(function: Callable[[Tensor], Tensor], *batches: Tensor) -> tuple[Tensor, ...]:
    """Apply ``function`` to several batches in one pass and return the results apart.

    Exact for networks without batch statistics (every backbone's instance or layer normalisation); with
    batch normalisation the batches share their statistics.

    Parameters
    ----------
    function : callable
        Maps (N, …) to (N, …).
    *batches : Tensor
        Shapes (N_i, …), equal but for N_i.
    """
    import torch

    return torch.split(function(torch.cat(batches)), [len(batch) for batch in batches])


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of class logits (N, C) with int64 labels (N,); the L_l of eq. 1."""
    from torch.nn import functional

    return functional.cross_entropy(logits.float(), labels)


def pseudo_label(weak_logits: Tensor, strong_logits: Tensor, confidence: float) -> Tensor:
    """Return the cross-entropy of strong predictions with confident weak ones; the L_u of eq. 1.

    The mean runs over all images, so that images below the threshold count as zero (as in FixMatch).

    Parameters
    ----------
    weak_logits : Tensor
        Shape (N, C), of the weakly augmented images; no gradient flows into them.
    strong_logits : Tensor
        Shape (N, C), of the same images strongly augmented.
    confidence : float
        The threshold t in [0, 1] on the largest softmax probability.
    """
    from torch.nn import functional

    probability, label = weak_logits.detach().float().softmax(1).max(1)
    loss = functional.cross_entropy(strong_logits.float(), label, reduction="none")
    return (loss * (probability >= confidence)).mean()


def dice(logits: Tensor, masks: Tensor, smooth: float = 1.0, region: Tensor | None = None) -> Tensor:
    """Return the soft Dice loss of each image and structure, averaged; the L_l of eq. 2.

    Parameters
    ----------
    logits : Tensor
        Mask logits, shape (N, structures, H, W).
    masks : Tensor
        In {0, 1}, same shape.
    smooth : float
        Added to numerator and denominator, as in the released script.
    region : Tensor, optional
        bool, what the masks' shape can be expanded from: the pixels that count.
    """
    probability, truth = logits.float().sigmoid(), masks
    if region is not None:
        probability, truth = probability * region, truth * region
    probability, truth = probability.flatten(2), truth.flatten(2)
    overlap = (probability * truth).sum(2)
    score = (2 * overlap + smooth) / (probability.sum(2) + truth.sum(2) + smooth)
    return (1 - score).mean()


def pixel_cross_entropy(logits: Tensor, masks: Tensor, region: Tensor | None = None) -> Tensor:
    """Return the mean binary cross-entropy of the pixels of masks, in nats.

    Parameters
    ----------
    logits : Tensor
        Mask logits, shape (N, structures, H, W).
    masks : Tensor
        In [0, 1], same shape.
    region : Tensor, optional
        bool, what the masks' shape can be expanded from: the pixels that count.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    loss = binary_cross_entropy_with_logits(logits.float(), masks, reduction="none")
    if region is None:
        return loss.mean()
    counted = region.expand_as(loss)
    return (loss * counted).sum() / counted.sum().clamp(min=1)


def segmentation_kl(labeled_logits: Tensor, unlabeled_logits: Tensor, kind: SegmentationKL) -> Tensor:
    """Return KL(labelled || unlabelled) between two batches of predicted masks; the L_u of eq. 2.

    The i-th labelled image is set against the i-th unlabelled one, pixel by pixel; gradients flow into
    both. The released script's softmax over a single channel makes this term identically zero.

    Parameters
    ----------
    labeled_logits, unlabeled_logits : Tensor
        Shape (N, structures, H, W).
    kind : {'bernoulli', 'spatial', 'none'}
        ``bernoulli``: each pixel is a coin, mean over pixels. ``spatial``: each mask is a distribution
        over pixels, mean over masks. ``none``: zero, as released.
    """
    from torch.nn import functional

    if kind == "none":
        return labeled_logits.new_zeros(())
    labeled, unlabeled = labeled_logits.float(), unlabeled_logits.float()
    if kind == "spatial":
        target = functional.log_softmax(labeled.flatten(0, 1).flatten(1), 1)
        given = functional.log_softmax(unlabeled.flatten(0, 1).flatten(1), 1)
        return functional.kl_div(given, target, log_target=True, reduction="batchmean")
    # Of coins with log odds a and b and P = sigmoid(a), KL = P log(P / Q) + (1 - P) log((1 - P) / (1 - Q)).
    # With log P = a + log(1 - P) and log(1 - P) = -softplus(a) that is P (a - b) - softplus(a) + softplus(b).
    softplus = functional.softplus
    pixels = labeled.sigmoid() * (labeled - unlabeled) - softplus(labeled) + softplus(unlabeled)
    return pixels.mean()
