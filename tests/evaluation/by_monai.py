"""MONAI's scores of two masks, which ours are held against."""

import warnings

import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)


def monai_scores(prediction, truth, policy):
    """Return HD, HD95, ASSD and NSD of one case."""
    one, other = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth))
    shared = {"include_background": True, "spacing": policy.spacing}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "hausdorff": compute_hausdorff_distance(one, other, **shared).item(),
            "hd95": compute_hausdorff_distance(one, other, percentile=95, **shared).item(),
            "assd": compute_average_surface_distance(one, other, symmetric=True, **shared).item(),
            "nsd": compute_surface_dice(one, other, [policy.nsd_tolerance], **shared).item(),
        }
