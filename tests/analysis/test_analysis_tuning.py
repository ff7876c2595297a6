"""Expected best scores of fewer trials, against every subset of them."""

import itertools
import math

import numpy as np
import pytest

from mmbench.analysis.tuning import expected_best

SCORES = [0.5, 0.4, 0.7, 0.6, 0.55, 0.45]


@pytest.mark.parametrize("count", range(1, len(SCORES) + 1))
def test_expected_best_is_the_mean_over_all_subsets(count):
    first, *others = SCORES
    best = [max([first, *chosen]) for chosen in itertools.combinations(others, count - 1)]
    assert expected_best(SCORES, count) == pytest.approx(np.mean(best))


def test_what_ended_early_is_never_the_best():
    assert expected_best([0.5, math.nan, 0.7], 2) == pytest.approx((0.5 + 0.7) / 2)
    assert expected_best([0.5, math.nan, math.nan], 3) == 0.5


def test_what_cannot_be_told_is_not_a_number():
    assert math.isnan(expected_best(SCORES, len(SCORES) + 1))
    assert math.isnan(expected_best([math.nan, 0.7], 2))
