"""Every per-case metric of a predicted mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmbench.evaluation.distances import surface_scores
from mmbench.evaluation.overlap import overlap_scores
from mmbench.evaluation.plugins import mask_values
from mmbench.evaluation.similarity import ssim
from mmbench.protocol.schema import MetricPolicy

FLAGS = ("empty_prediction", "empty_truth")
"""Counted over cases, not averaged."""


def segmentation_scores(
    prediction: np.ndarray, truth: np.ndarray, policy: MetricPolicy, neighbours: int = 4
) -> dict[str, float]:
    """Return the scores of one case.

    Two empty masks agree perfectly: overlaps, NSD and SSIM are 1 and distances 0. When exactly one is
    empty, all four overlaps are 0, precision of an empty prediction and recall of an empty truth
    included (0 / 0 by the formula), NSD is 0, and distances follow ``policy.empty_distance``.

    Parameters
    ----------
    prediction, truth : ndarray
        bool, the same shape (H, W).
    policy : MetricPolicy
        Spacing, NSD tolerance and the rule for empty masks.
    neighbours : int
        As for :func:`mmbench.evaluation.distances.surface`; records have 4.

    Returns
    -------
    dict of str to float
        ``dice``, ``jaccard``, ``precision``, ``recall``, ``nsd`` in [0, 1]; ``ssim`` in [-1, 1];
        ``hausdorff``, ``hd95``, ``assd`` in units of the spacing; those of plugins; and the flags
        ``empty_prediction`` and ``empty_truth``. :data:`mmbench.protocol.metrics.METRICS` defines each.

    Raises
    ------
    ValueError
        If the masks are not two-dimensional, boolean and of one shape.
    """
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise ValueError(f"the {name} is a {mask.dtype} array of shape {mask.shape}, not a bool (H, W)")
    if prediction.shape != truth.shape:
        raise ValueError(f"the prediction has shape {prediction.shape} but the truth {truth.shape}")
    predicted, true = int(np.count_nonzero(prediction)), int(np.count_nonzero(truth))
    both = int(np.count_nonzero(prediction & truth))
    return {
        **overlap_scores(both, predicted, true),
        **surface_scores(prediction, truth, policy, neighbours),
        "ssim": ssim(prediction, truth),
        **mask_values(prediction, truth, policy),
        "empty_prediction": predicted == 0,
        "empty_truth": true == 0,
    }


def structure_scores(
    predictions: np.ndarray,
    truths: np.ndarray,
    policy: MetricPolicy,
    structures: Sequence[str],
    neighbours: int = 4,
) -> dict[str, float]:
    """Return the scores of one case with a mask for each structure.

    Parameters
    ----------
    predictions, truths : ndarray
        bool, shape (structures, H, W).
    policy, neighbours
        As for :func:`segmentation_scores`.
    structures : sequence of str
        Their names.

    Returns
    -------
    dict of str to float
        Of one structure, those of :func:`segmentation_scores`. Of several, each one's under names such as
        ``dice:heart``, and the means over structures, undefined where one is; a flag is set where one is.
    """
    every = [
        segmentation_scores(one, other, policy, neighbours)
        for one, other in zip(predictions, truths, strict=True)
    ]
    if len(structures) == 1:
        return every[0]
    found = {
        name: any(own[name] for own in every)
        if name in FLAGS
        else float(np.mean([own[name] for own in every]))
        for name in every[0]
    }
    for structure, own in zip(structures, every, strict=True):
        found |= {f"{name}:{structure}": value for name, value in own.items()}
    return found
