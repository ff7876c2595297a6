"""Whether printed numbers can be right: against brute force."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mmbench.claims.consistency import constant_scores, dice_against_jaccard, fits_confusion_matrix


def fits(numbers, negatives, positives):
    accuracy, f1_normal, f1_pneumonia = numbers
    return fits_confusion_matrix(accuracy, f1_normal, f1_pneumonia, negatives=negatives, positives=positives)


def every_triple(negatives, positives):
    for tn, tp in itertools.product(range(negatives + 1), range(positives + 1)):
        fp, fn = negatives - tn, positives - tp
        f1_normal = 2 * tn / (2 * tn + fp + fn) if tn or fp or fn else 0.0
        f1_pneumonia = 2 * tp / (2 * tp + fp + fn) if tp or fp or fn else 0.0
        yield (tn + tp) / (negatives + positives), f1_normal, f1_pneumonia


def test_every_confusion_matrix_fits_its_own_rounded_numbers():
    for triple in every_triple(7, 11):
        numbers = [(round(value, 3), 0.0005) for value in triple]
        assert fits(numbers, negatives=7, positives=11)


def test_it_says_what_brute_force_says():
    rng = np.random.default_rng(3)
    known = np.array(list(every_triple(9, 6)))
    answers = []
    for _ in range(400):
        # Near a true triple or anywhere: both answers must occur.
        printed = np.round(known[rng.integers(len(known))] + rng.choice([0, 0.004], 3), 3)
        expected = bool((np.abs(known - printed) <= 0.0005 + 1e-9).all(axis=1).any())
        found = fits([(value, 0.0005) for value in printed], negatives=9, positives=6)
        assert found == expected
        answers.append(found)
    assert 0.1 < np.mean(answers) < 0.9


def test_wider_rounding_fits_more():
    far = [(0.80, 0.0005), (0.80, 0.0005), (0.70, 0.0005)]
    assert not fits(far, negatives=234, positives=390)
    assert fits([(value, 0.1) for value, _ in far], negatives=234, positives=390)


@pytest.mark.parametrize(
    ("dice", "jaccard", "expected"),
    [
        (0.90, 0.85, ""),
        (0.90, 0.91, "below"),
        (0.900, 0.9005, ""),  # within rounding
        (0.95, 0.80, "above"),  # at most 1.6 / 1.8 = 0.889
        (0.889, 0.80, ""),
        (1.0, 1.0, ""),
        (0.0, 0.0, ""),
    ],
)
def test_dice_must_lie_between_jaccard_and_its_bound(dice, jaccard, expected):
    assert dice_against_jaccard((dice, 0.0005), (jaccard, 0.0005)) == expected


def test_means_over_any_masks_keep_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        jaccard = rng.beta(0.5, 0.5, 20)
        dice = 2 * jaccard / (1 + jaccard)
        assert dice_against_jaccard((dice.mean(), 0.0), (jaccard.mean(), 0.0)) == ""


def test_constant_predictors_by_scikit_learn():
    truth = np.array([0] * 2754 + [1] * 1431)
    found = constant_scores(2754, 1431)
    assert found["accuracy"] == pytest.approx(2754 / 4185)
    assert found["f1_pneumonia"] == pytest.approx(f1_score(truth, np.ones(4185)))
    assert found["f1_normal"] == pytest.approx(f1_score(truth, np.zeros(4185), pos_label=0))
    assert round(found["accuracy"], 3) == 0.658
    assert round(found["f1_pneumonia"], 3) == 0.510
