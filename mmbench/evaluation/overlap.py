"""Overlap of two masks, from counts of pixels."""

from __future__ import annotations


def overlap_scores(both: int, predicted: int, true: int) -> dict[str, float]:
    """Return Dice, Jaccard, precision and recall from counts of pixels.

    Parameters
    ----------
    both : int
        Pixels in the prediction and in the truth.
    predicted, true : int
        Pixels in the prediction, in the truth.
    """
    if predicted == true == 0:
        return {"dice": 1.0, "jaccard": 1.0, "precision": 1.0, "recall": 1.0}
    return {
        "dice": 2 * both / (predicted + true),
        "jaccard": both / (predicted + true - both),
        "precision": both / predicted if predicted else 0.0,
        "recall": both / true if true else 0.0,
    }
