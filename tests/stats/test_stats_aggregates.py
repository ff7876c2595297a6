"""Aggregates over trainings by hand and against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from mmbench.stats.aggregates import interquartile_mean, performance_profile, probability_of_improvement


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -100])) == pytest.approx(3.5)
    assert interquartile_mean(np.array([[1.0, np.nan], [3.0, 2.0]])) == 2.0
    assert math.isnan(interquartile_mean(np.array([np.nan])))


def test_the_performance_profile_is_a_share_of_trainings():
    profile = performance_profile(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 0.5, 0.8, 1.0]))
    assert profile.tolist() == [1.0, 0.25, 0.25, 0.0]


def test_the_probability_of_improvement_is_mann_whitneys(rng):
    a, b = np.rint(rng.normal(1, 2, 9)), np.rint(rng.normal(0, 2, 12))
    expected = stats.mannwhitneyu(a, b).statistic / (9 * 12)
    assert probability_of_improvement(a, b) == pytest.approx(expected)
    assert math.isnan(probability_of_improvement(a, np.zeros(0)))
