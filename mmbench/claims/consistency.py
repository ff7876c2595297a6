"""Whether printed numbers can be right, one by one and beside each other.

Rounding is allowed for: every test asks whether some unrounded number fits.
"""

from __future__ import annotations

import math

import numpy as np

SLACK = 1e-9


def fits_confusion_matrix(
    accuracy: tuple[float, float],
    f1_normal: tuple[float, float],
    f1_pneumonia: tuple[float, float],
    negatives: int,
    positives: int,
) -> bool:
    """Return whether any integer confusion matrix gives three printed numbers.

    A number that is the mean of several runs need not fit one matrix: a misfit says that the row is no
    single run, or that a digit is wrong.

    Parameters
    ----------
    accuracy, f1_normal, f1_pneumonia : tuple of float
        The value and half a unit of its last digit.
    negatives, positives : int
        Normal cases and cases of pneumonia.
    """
    cases = negatives + positives
    low = math.ceil((accuracy[0] - accuracy[1]) * cases - SLACK)
    high = math.floor((accuracy[0] + accuracy[1]) * cases + SLACK)
    tp = np.arange(positives + 1)[None, :]
    correct = np.arange(max(low, 0), min(high, cases) + 1)[:, None]
    tn = correct - tp
    possible = (tn >= 0) & (tn <= negatives)
    for (value, half), hits in ((f1_normal, tn), (f1_pneumonia, tp)):
        wrong = cases - correct
        with np.errstate(invalid="ignore", divide="ignore"):
            score = np.where(2 * hits + wrong > 0, 2 * hits / (2 * hits + wrong), 0.0)
        possible &= np.abs(score - value) <= half + SLACK
    return bool(possible.any())


def dice_against_jaccard(dice: tuple[float, float], jaccard: tuple[float, float]) -> str:
    """Return ``below``, ``above`` or an empty text: Dice against the bounds that Jaccard sets it.

    J <= Dice <= 2 J / (1 + J) holds for every case, and for means over cases, too: the second because
    2 J / (1 + J) is concave.

    Parameters
    ----------
    dice, jaccard : tuple of float
        The value and half a unit of its last digit.
    """
    if dice[0] + dice[1] < jaccard[0] - jaccard[1] - SLACK:
        return "below"
    upper = jaccard[0] + jaccard[1]
    if dice[0] - dice[1] > 2 * upper / (1 + upper) + SLACK:
        return "above"
    return ""


def constant_scores(negatives: int, positives: int) -> dict[str, float]:
    """Return what the constant predictors score.

    Returns
    -------
    dict of str to float
        ``accuracy``: of the more frequent class; ``f1_normal`` of always normal, ``f1_pneumonia`` of
        always pneumonia.
    """
    cases = negatives + positives
    return {
        "accuracy": max(negatives, positives) / cases,
        "f1_normal": 2 * negatives / (cases + negatives),
        "f1_pneumonia": 2 * positives / (cases + positives),
    }
