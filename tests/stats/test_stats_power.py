"""Power against statsmodels, and against simulated runs of the report's own test."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from mmbench.stats.mixed import mean_estimate, mixed_estimate
from mmbench.stats.power import (
    Design,
    Noise,
    minimum_detectable_difference,
    power,
    seeds_needed,
)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("family", [1, 5])
def test_with_seeds_alone_it_is_the_power_of_students_test(seeds, family):
    design = Design(subsets=1, seeds=seeds, patients=1000, family=family)
    expected = TTestPower().power(effect_size=1.5, nobs=seeds, alpha=0.05 / family)
    assert power(0.03, design, Noise(seed=0.02)) == pytest.approx(expected, abs=0.015)


def test_one_training_is_the_power_over_patients():
    design = Design(subsets=1, seeds=1, patients=100)
    expected = TTestPower().power(effect_size=0.3, nobs=100, alpha=0.05)
    assert power(0.03, design, Noise(patient=0.1)) == pytest.approx(expected, abs=0.015)


def test_the_detectable_difference_has_the_wanted_power():
    design, noise = Design(2, 3, 80, family=4), Noise(seed=0.02, subset=0.01, patient=0.1)
    smallest = minimum_detectable_difference(design, noise)
    assert power(smallest, design, noise) == pytest.approx(0.8, abs=1e-3)
    assert minimum_detectable_difference(design, Noise()) == pytest.approx(0.0, abs=1e-5)


def test_what_cannot_be_found_is_infinite():
    assert math.isinf(minimum_detectable_difference(Design(1, 2, 50), Noise(seed=0.05), largest=0.1))


@pytest.mark.parametrize(
    ("design", "noise", "difference"),
    [
        (Design(1, 5, 60, family=3), Noise(seed=0.03, patient=0.1, patient_training=0.1), 0.06),
        (Design(4, 3, 60), Noise(subset=0.02, seed=0.02, subset_seed=0.02, patient=0.1), 0.05),
        (Design(1, 3, 40), Noise(patient=0.1, patient_training=0.1), 0.05),
    ],
)
def test_predicted_power_is_the_simulated_one(rng, design, noise, difference):
    found, count = 0, 1200
    shape = (design.subsets, design.seeds)
    for _ in range(count):
        between = (
            rng.normal(0, noise.subset, (design.subsets, 1))
            + rng.normal(0, noise.seed, (1, design.seeds))
            + rng.normal(0, noise.subset_seed, shape)
        )
        cases = rng.normal(0, noise.patient, design.patients)
        cases = cases + rng.normal(0, noise.patient_training, (*shape, design.patients))
        values = difference + between + cases.mean(-1)
        covariance = np.cov(cases.reshape(-1, design.patients)) / design.patients
        p = mixed_estimate(values, covariance, design.patients).p
        found += p < design.alpha / design.family
    assert power(difference, design, noise) == pytest.approx(found / count, abs=0.05)


@pytest.mark.parametrize(("spreads", "balance"), [((0.03, 0.03, 0.03), 1.0), ((0.05, 0.02, 0.01), 0.467)])
def test_predicted_power_over_budgets_is_the_simulated_one(rng, spreads, balance):
    seeds, patients, difference, count = 5, 80, 0.045, 1500
    squares = np.square(spreads)
    assert squares.sum() ** 2 / (3 * (squares**2).sum()) == pytest.approx(balance, abs=0.01)
    noise = Noise(seed=math.sqrt(squares.mean()), patient=0.1, balance=balance)
    found = 0
    for _ in range(count):
        cases = rng.normal(0, 0.1, patients)
        grids = [difference + rng.normal(0, spread, (1, seeds)) + cases.mean() for spread in spreads]
        covariance = np.full((15, 15), cases.var(ddof=1) / patients)
        found += mean_estimate(grids, covariance, patients).p < 0.01
    design = Design(1, seeds, patients, family=5, budgets=3)
    assert power(difference, design, noise) == pytest.approx(found / count, abs=0.05)


def test_seeds_needed_are_the_fewest_that_suffice():
    design, noise = Design(1, 3, 100, family=4, budgets=2), Noise(seed=0.02, patient=0.05)
    needed = seeds_needed(0.03, design, noise)
    assert needed is not None
    assert power(0.03, Design(1, needed, 100, 4, budgets=2), noise) >= 0.8
    assert power(0.03, Design(1, needed - 1, 100, 4, budgets=2), noise) < 0.8
    assert seeds_needed(0.001, design, noise) is None


def test_one_patient_finds_nothing():
    assert power(0.5, Design(1, 3, 1), Noise(seed=0.01, patient=0.1)) == 0
    assert math.isinf(minimum_detectable_difference(Design(1, 1, 1), Noise(patient=0.1), largest=1.0))


def test_without_patients_nothing_is_found():
    design = Design(subsets=1, seeds=5, patients=0.0, family=3)
    assert power(0.5, design, Noise(seed=0.01, patient=0.1)) == 0.0
    assert math.isinf(minimum_detectable_difference(design, Noise(seed=0.01)))
    assert seeds_needed(0.5, design, Noise(seed=0.01)) is None
