"""Components of variance: by hand, and where they are known."""

import math

import numpy as np
import pytest

from mmbench.stats.variance import variance_budget


def simulate(rng, subsets, seeds, patients, sd):
    """Scores of a crossed design as (subsets, seeds) values and their bootstrap replicates."""
    between = (
        rng.normal(0, sd["subset"], (subsets, 1))
        + rng.normal(0, sd["seed"], (1, seeds))
        + rng.normal(0, sd["subset x seed"], (subsets, seeds))
    )
    cases = rng.normal(0, sd["case"], patients) + rng.normal(0, sd["residual"], (subsets, seeds, patients))
    cases = cases + between[..., None]
    weights = rng.multinomial(patients, np.full(patients, 1 / patients), size=200) / patients
    return cases.mean(-1), np.einsum("bn,dsn->bds", weights, cases)


def test_components_are_found_on_average(rng):
    sd = {"subset": 0.3, "seed": 0.2, "subset x seed": 0.25, "case": 2.0, "residual": 1.5}
    patients = 80
    budgets = [variance_budget(*simulate(rng, 8, 8, patients, sd)).components for _ in range(120)]
    for name, size in sd.items():
        known = size**2 / (patients if name in {"case", "residual"} else 1)
        found = np.mean([budget[name] for budget in budgets])
        assert found == pytest.approx(known, rel=0.15), name


def test_mean_squares_by_hand_without_cases():
    # As in the crossed example: MS_draw 36, MS_seed 16, MS_rest 4, two of each.
    grid = np.array([[0.0, 2.0], [4.0, 10.0]])
    budget = variance_budget(grid, np.broadcast_to(grid, (20, 2, 2)))
    assert budget.components == pytest.approx(
        {"subset": 16, "seed": 6, "subset x seed": 4, "case": 0, "residual": 0}
    )


def test_a_factor_of_one_level_is_unknown(rng):
    sd = dict.fromkeys(("subset", "seed", "subset x seed", "case", "residual"), 1.0)
    seeds_only = variance_budget(*simulate(rng, 1, 4, 30, sd))
    assert math.isnan(seeds_only.subset)
    assert math.isnan(seeds_only.subset_seed)
    assert seeds_only.seed >= 0
    draws_only = variance_budget(*simulate(rng, 4, 1, 30, sd))
    assert math.isnan(draws_only.seed)
    one = variance_budget(*simulate(rng, 1, 1, 30, sd))
    assert [name for name, value in one.components.items() if not math.isnan(value)] == ["case"]


def test_no_training_has_no_budget():
    nothing = np.full((1, 2), np.nan)
    assert all(math.isnan(v) for v in variance_budget(nothing, nothing[None]).components.values())
