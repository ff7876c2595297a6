"""Estimates over trainings and patients: by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mmbench.stats.mixed import (
    Part,
    _p_value,  # private: a given ratio of given parts, which estimates have only by chance
    complete_part,
    critical_value,
    described,
    mean_estimate,
    mixed_estimate,
    training_variance,
)


def test_without_noise_of_cases_seeds_alone_give_students_interval(rng):
    values = rng.normal(1, 2, (1, 6))
    found = mixed_estimate(values, np.zeros((6, 6)), patients=50)
    expected = stats.ttest_1samp(values[0], 0)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.df == pytest.approx(5)
    assert found.over == "cases and 6 seeds"


def test_one_training_is_known_by_its_cases_alone():
    found = mixed_estimate(np.array([[0.8]]), np.array([[0.0004]]), patients=101)
    half = stats.t.ppf(0.975, 100) * 0.02
    assert (found.low, found.high) == pytest.approx((0.8 - half, 0.8 + half))
    assert found.over == "cases of one training"


def test_obuchowski_rockette_and_cochran_by_hand():
    # Values 1, 2, 3: s^2 / 3 = 1/3 with 2 degrees of freedom; shared covariance 1/2 of 40 patients. The
    # variance is 5/6, the critical value (2 t_2 + 3 t_39) / 5 = (2 * 4.3027 + 3 * 2.0227) / 5.
    covariance = np.full((3, 3), 0.5) + 0.3 * np.eye(3)
    found = mixed_estimate(np.array([[1.0, 2.0, 3.0]]), covariance, patients=40)
    assert found.value == 2
    assert found.se == pytest.approx(math.sqrt(5 / 6))
    assert found.df == 2
    half = (2 * 4.30265 + 3 * 2.02269) / 5 * math.sqrt(5 / 6)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-4)


def test_p_is_the_level_at_which_the_interval_touches_0():
    covariance = np.full((3, 3), 0.05) + 0.2 * np.eye(3)
    values = np.array([[1.0, 2.0, 3.0]])
    p = mixed_estimate(values, covariance, patients=40).p
    touching = mixed_estimate(values, covariance, patients=40, confidence=1 - p)
    assert touching.low == pytest.approx(0, abs=1e-6)


def test_a_negative_covariance_does_not_narrow_the_interval():
    values = np.array([[1.0, 2.0, 3.0]])
    narrow = mixed_estimate(values, 0.1 * np.eye(3) - 0.04, patients=40)
    assert narrow.se == pytest.approx(math.sqrt(1 / 3))


def test_crossed_mean_squares_by_hand():
    # Two subsets by two seeds, 0 2 / 4 10: mean 4, MS_subset = 2 (3^2 + 3^2) = 36, MS_seed = 2 (2^2 + 2^2)
    # = 16, interaction 4 * 1^2 / 1 = 4; (36 + 16 - 4) / 4 = 12.
    variance, parts = training_variance(np.array([[0.0, 2.0], [4.0, 10.0]]))
    assert variance == pytest.approx(12)
    assert parts == [(pytest.approx(9), 1), (pytest.approx(4), 1)]
    # A large interaction cannot pull it below the larger mean square.
    variance, _ = training_variance(np.array([[0.0, 4.0], [5.0, 0.0]]))
    assert variance == pytest.approx(0.25 / 4)


def test_p_and_interval_say_the_same(rng):
    for _ in range(50):
        values = rng.normal(0.7, 1, (2, 3))
        noise = rng.normal(0, 0.3, (6, 40))
        found = mixed_estimate(values, np.cov(noise), patients=40, confidence=0.9)
        assert (found.p < 0.1) == (not found.low <= 0 <= found.high)


def test_gaps_are_left_out_and_nothing_is_nothing():
    values = np.array([[1.0, np.nan, 3.0], [2.0, 5.0, 4.0]])
    subsets, seeds = complete_part(values)
    assert (subsets.tolist(), seeds.tolist()) in (([0, 1], [0, 2]), ([1], [0, 1, 2]))
    covariance = np.full((6, 6), np.nan)
    kept = [d * 3 + s for d in subsets for s in seeds]
    covariance[np.ix_(kept, kept)] = 0.0
    found = mixed_estimate(values, covariance, patients=10)
    assert found.trainings == len(kept)
    assert found.value == pytest.approx(values[np.ix_(subsets, seeds)].mean())
    empty = mixed_estimate(np.full((2, 2), np.nan), np.zeros((4, 4)), patients=10)
    assert math.isnan(empty.value)
    assert not empty.has_interval


def test_trainings_that_do_not_differ_leave_the_patients():
    found = mixed_estimate(np.full((1, 3), 0.5), np.full((3, 3), 0.01), patients=30)
    assert found.se == pytest.approx(0.1)
    assert found.df == 29


def test_trainings_that_agree_by_chance_are_not_certain():
    # Two equal differences of accuracy whose patients do not even vary together: s^2 = 0, covariance < 0.
    covariance = np.array([[0.02, -0.001], [-0.001, 0.02]])
    found = mixed_estimate(np.full((1, 2), 0.125), covariance, patients=24)
    assert found.se == pytest.approx(math.sqrt(0.021 / 2))
    assert found.df == 23
    assert found.p > 0.2


def test_words_for_what_varies():
    def words(*shapes):
        return described([np.zeros(shape) for shape in shapes])

    assert words((1, 1)) == "cases of one training"
    assert words((3, 1)) == "cases and 3 labelled subsets"
    assert words((5, 2)) == "cases, 2 seeds and 5 labelled subsets"
    assert words((1, 4), (1, 5)) == "cases and 4 to 5 seeds at each of 2 budgets"
    assert words((1, 1), (1, 1)) == "cases of one training at each of 2 budgets"


def test_a_mean_over_budgets_by_hand():
    # 1 2 3 and 4 8: means 2 and 6, s^2 / n = 1/3 and 8/2 = 4, so V = (1/3 + 4) / 4 = 13/12 with
    # Satterthwaite's df (1/12 + 1)^2 / ((1/12)^2 / 2 + 1^2 / 1). Covariances within budgets 0.4 and 0.6,
    # between them 0.2: shared (0.4 + 0.6 + 2 * 0.2) / 4 = 0.35.
    covariance = np.full((5, 5), 0.2)
    covariance[:3, :3], covariance[3:, 3:] = 0.4, 0.6
    covariance += 0.1 * np.eye(5)
    grids = [np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 8.0]])]
    found = mean_estimate(grids, covariance, patients=40)
    assert found.value == 4
    assert found.trainings == 5
    assert found.se == pytest.approx(math.sqrt(13 / 12 + 0.35))
    assert found.df == pytest.approx((13 / 12) ** 2 / (1 / 288 + 1))
    # Between patients alone: 0.35 and each training's own 0.1, over (3 and 2 trainings) and 4.
    (alone,) = found.bounds[1]
    assert alone.variance == pytest.approx(0.35 + (0.1 / 3 + 0.1 / 2) / 4)


def test_a_budget_with_one_training_says_nothing_of_others():
    grids = [np.array([[1.0, 2.0]]), np.array([[4.0]])]
    found = mean_estimate(grids, np.eye(3), patients=40)
    assert found.value == 2.75
    assert not found.has_interval
    assert math.isnan(mean_estimate([np.array([[1.0]]), np.array([[np.nan]])], np.eye(2), 40).value)


def test_budgets_of_equal_variance_are_replications():
    values = np.array([[1.0, 2.0, 3.0]])
    found = mean_estimate([values, values + 5, values - 3], np.zeros((9, 9)), patients=1000)
    assert found.df == pytest.approx(6)
    assert found.se == pytest.approx(math.sqrt(1 / 9))


def test_what_never_varies_has_the_exact_interval_of_no_exception_in_n():
    found = mean_estimate([np.zeros((1, 2))], np.zeros((2, 2)), patients=10, reach=1.0)
    assert found.constant
    # Clopper and Pearson: no success in 10 trials.
    exact = stats.binomtest(0, 10).proportion_ci(0.95, method="exact").high
    assert (found.low, found.high) == pytest.approx((-exact, exact))
    assert found.p == 1
    for distance in (0.1, 0.2, 0.4):
        assert found.half_width(found.p_of(distance)) == pytest.approx(distance)


def test_the_level_at_which_an_interval_reaches_a_distance_is_p():
    covariance = np.full((3, 3), 0.05) + 0.2 * np.eye(3)
    found = mixed_estimate(np.array([[1.0, 2.0, 3.0]]), covariance, patients=40)
    for distance in (0.3, 1.0, 4.0):
        assert found.half_width(found.p_of(distance)) == pytest.approx(distance, rel=1e-5)
    turned = found.turned()
    assert (turned.value, turned.low, turned.high) == (-found.value, -found.high, -found.low)
    assert found.at(0.01).high > found.high


def test_four_times_the_trainings_halve_their_part_of_the_error():
    found = mixed_estimate(np.array([[1.0, 2.0, 3.0]]), np.zeros((3, 3)), patients=40)
    more = found.after(4)
    assert more.bounds[0][0].variance == pytest.approx(found.bounds[0][0].variance / 4)
    assert more.half_width(0.05) == pytest.approx(stats.t.ppf(0.975, 8) * found.se / 2)


@pytest.mark.parametrize(("subsets", "seeds"), [(1, 3), (1, 8), (3, 3), (5, 2)])
def test_intervals_cover_a_known_truth(subsets, seeds):
    """Score = draw + seed + training + patient + rest; the expected score is 0."""
    rng = np.random.default_rng(11)
    patients, hits, count = 60, 0, 600
    for _ in range(count):
        between = (
            rng.normal(0, 0.5, (subsets, 1)) * (subsets > 1)
            + rng.normal(0, 0.5, (1, seeds))
            + rng.normal(0, 0.5, (subsets, seeds))
        )
        cases = rng.normal(0, 2, patients) + rng.normal(0, 1, (subsets * seeds, patients))
        values = between + cases.mean(1).reshape(subsets, seeds)
        found = mixed_estimate(values, np.cov(cases) / patients, patients)
        hits += found.low <= 0 <= found.high
    # Three standard errors of a share of 600 are 0.027.
    assert 0.923 <= hits / count <= 0.99


def test_p_inverts_the_critical_value(rng):
    for _ in range(200):
        parts = [Part(rng.exponential(), rng.integers(1, 9)), Part(rng.exponential(), rng.integers(5, 200))]
        p = 10 ** -rng.uniform(0, 8)
        ratio = critical_value(p, parts)
        value = ratio * math.sqrt(parts[0].variance + parts[1].variance)
        assert _p_value(value, parts) == pytest.approx(p, rel=1e-6)
    assert _p_value(0.0, parts) == 1.0


def test_p_of_a_huge_difference_is_found_though_a_quantile_is_infinite():
    # Of 458 degrees of freedom the quantile at 1e-300 is infinite in double precision, or huge in an older
    # scipy.
    parts = [Part(1.289e-4, 6.738), Part(1.534e-6, 458.0)]
    assert abs(critical_value(1e-300, parts)) > 1e40
    p = _p_value(1.129, parts)
    assert 0 < p < 1e-11
    assert critical_value(p, parts) == pytest.approx(1.129 / math.sqrt(1.289e-4 + 1.534e-6), rel=1e-6)


def test_what_varies_by_rounding_alone_is_constant():
    """Two trainings' differences of 0.1, of which one is 0.1 less than a rounding error."""
    found = mean_estimate([np.array([[0.9 - 0.8, 0.8 - 0.7]])], np.zeros((2, 2)), 10, 0.95, 1.0)
    exact = mean_estimate([np.array([[0.1, 0.1]])], np.zeros((2, 2)), 10, 0.95, 1.0)
    assert found.constant
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
