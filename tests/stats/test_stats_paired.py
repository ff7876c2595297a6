"""Paired tests against scipy, statsmodels, brute force and hand calculation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from mmbench.stats.paired import (
    EXACT_UP_TO,
    mcnemar,
    nadeau_bengio,
    rank_biserial,
    signed_rank_exact,
    signed_rank_p,
    superiority,
    wilcoxon_cases,
)


@pytest.mark.parametrize("count", [3, 6, 11, 25])
def test_signed_rank_without_ties_is_scipys_exact_test(rng, count):
    differences = rng.normal(0.3, 1, count)
    expected = stats.wilcoxon(differences, method="exact")
    assert signed_rank_exact(differences).p == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.parametrize(
    "differences",
    [
        [1, 1, -1, 2, 0, 3, -2],
        [0, 0, 0.5, 0.5, -0.25],
        [2, 2, 2, 2],
        [-1, -2, -3, -4, -5, 0, -1],
        [1, -1],
    ],
)
def test_signed_rank_with_ties_and_zeros_counts_every_pattern_of_signs(differences):
    values = np.array(differences, float)
    ranks = stats.rankdata(np.abs(values))
    kept = ranks[values != 0]
    centre, observed = kept.sum() / 2, ranks[values > 0].sum()
    sums = [
        sum(rank for rank, plus in zip(kept, signs, strict=True) if plus)
        for signs in itertools.product([0, 1], repeat=len(kept))
    ]
    far = [abs(total - centre) >= abs(observed - centre) - 1e-9 for total in sums]
    assert signed_rank_exact(values).p == pytest.approx(np.mean(far), abs=1e-12)


def test_signed_rank_corner_cases():
    assert signed_rank_exact(np.zeros(4)).p == 1.0
    assert math.isnan(signed_rank_exact(np.zeros(0)).p)


def test_many_signed_ranks_at_once_are_those_one_by_one(rng):
    differences = rng.integers(-3, 4, (20, 9)).astype(float)
    together = signed_rank_p(differences)
    assert together == pytest.approx([signed_rank_exact(row).p for row in differences])


@pytest.mark.parametrize("rounded", [False, True])
def test_wilcoxon_over_many_cases_is_scipys_with_pratts_zeros(rng, rounded):
    differences = rng.normal(0.1, 1, 200)
    if rounded:
        differences = np.rint(differences)
        assert (differences == 0).any()
    expected = stats.wilcoxon(differences, zero_method="pratt", method="asymptotic")
    found = wilcoxon_cases(differences)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.n == 200
    # The approximation over trainings, written apart, agrees where both are asymptotic.
    assert signed_rank_p(differences[None])[0] == pytest.approx(expected.pvalue, rel=1e-6)


def test_wilcoxon_of_few_cases_is_exact_and_of_no_difference_is_1():
    few = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert wilcoxon_cases(few).p == pytest.approx(2 / 32)
    assert wilcoxon_cases(np.zeros(EXACT_UP_TO + 1)).p == 1.0


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 1), (5, 5), (12, 12), (1, 23), (20, 5), (40, 22)])
def test_mcnemar_is_statsmodels(only_a, only_b):
    a = np.array([True] * only_a + [False] * only_b + [True] * 30 + [False] * 7)
    b = np.array([False] * only_a + [True] * only_b + [True] * 30 + [False] * 7)
    exact = only_a + only_b < 25
    expected = reference_mcnemar([[30, only_a], [only_b, 7]], exact=exact, correction=True)
    found = mcnemar(a, b)
    assert found.n == only_a + only_b
    assert found.p == pytest.approx(expected.pvalue)
    if only_a + only_b:
        assert found.statistic == pytest.approx(expected.statistic)
        assert ("exact" in found.name) == exact


def test_nadeau_bengio_by_hand():
    # Mean 2, s^2 = 2.5, R = 5, n_test / n_train = 1 / 4: t = 2 / sqrt(0.45 * 2.5) = 1.8856.
    differences = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    found = nadeau_bengio(differences, 0.25)
    assert found.statistic == pytest.approx(2 / math.sqrt(1.125))
    assert found.statistic == pytest.approx(1.8856, abs=1e-4)
    assert found.p == pytest.approx(2 * stats.t.sf(2 / math.sqrt(1.125), 4))
    assert found.p == pytest.approx(0.1324, abs=1e-4)
    # Without overlap it is Student's test.
    assert nadeau_bengio(differences, 0.0).p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_nadeau_bengio_without_spread_or_pairs():
    assert math.isnan(nadeau_bengio(np.array([0.5]), 0.2).p)
    assert nadeau_bengio(np.zeros(3), 0.2).p == 1.0
    # No t test is defined; of three signs, all alike, the exact p is 2 / 2^3.
    assert nadeau_bengio(np.ones(3), 0.2).p == 0.25


def test_rank_biserial_by_hand():
    # Ranks of 3, -1, 2, -4 are 3, 1, 2, 4: (3 + 2 - 1 - 4) / 10 = 0; of 5, -1, 2: (3 + 2 - 1) / 6.
    assert rank_biserial(np.array([3.0, -1, 2, -4])) == 0
    assert rank_biserial(np.array([5.0, -1, 2])) == pytest.approx(4 / 6)
    assert rank_biserial(np.array([5.0, 0, 2])) == 1.0
    assert rank_biserial(np.zeros(3)) == 0.0
    assert math.isnan(rank_biserial(np.zeros(0)))


def test_rank_biserial_follows_from_scipys_statistic(rng):
    differences = rng.normal(0.2, 1, 40)
    total = 40 * 41 / 2
    above = stats.wilcoxon(differences, alternative="greater").statistic
    assert rank_biserial(differences) == pytest.approx((above - (total - above)) / total)


def test_superiority_counts_ties_one_half():
    assert superiority(np.array([1.0, 2, 3, 4]), np.array([0.0, 2, 4, 4])) == 0.5
    assert math.isnan(superiority(np.zeros(0), np.zeros(0)))


def test_differences_within_rounding_are_ties_and_zeros():
    a, b = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([0.8, 0.7, 0.6, 0.7, 0.4, 0.3])
    assert signed_rank_exact(a - b).p == signed_rank_exact(np.round(a - b, 12)).p == 0.21875
    rounded = np.array([0.1 + 0.2 - 0.3, 0.1, 0.2, 0.3])
    assert signed_rank_exact(rounded).p == signed_rank_exact(np.array([0, 0.1, 0.2, 0.3])).p == 0.25
    assert rank_biserial(a - b) == pytest.approx(4 / 6)


def test_rounding_is_no_difference_between_trainings_or_cases():
    same = np.array([0.1 + 0.2 - 0.3, 0.0])
    assert nadeau_bengio(same, 0.3).p == 1.0
    assert nadeau_bengio(np.array([0.9 - 0.8, 0.8 - 0.7, 0.1]), 0.3).p == pytest.approx(0.25)
    assert superiority(np.array([0.1 + 0.2, 0.5]), np.array([0.3, 0.5])) == 0.5
