"""Ranks and tests against scipy and statsmodels, cliques against brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mmbench.stats.ranks import (
    cliques,
    friedman,
    letters,
    mean_ranks,
    pairwise_t_holm,
    rank_intervals,
)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("higher", [False, True])
def test_mean_ranks_are_scipys(rng, rounded, higher):
    values = rng.normal(0, 1, (12, 5))
    if rounded:
        values = np.rint(values)
    expected = stats.rankdata(-values if higher else values, axis=1).mean(0)
    assert mean_ranks(values, higher) == pytest.approx(expected)


def test_friedman_is_scipys(rng):
    values = np.rint(rng.normal(0, 2, (10, 4)) + np.arange(4))
    expected = stats.friedmanchisquare(*values.T)
    found = friedman(values)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert friedman(values, higher_is_better=False).p == pytest.approx(expected.pvalue)


def test_friedman_without_a_question():
    assert math.isnan(friedman(np.zeros((5, 3))).p)
    assert math.isnan(friedman(np.random.default_rng(0).random((5, 2))).p)
    assert math.isnan(friedman(np.random.default_rng(0).random((1, 3))).p)


def test_pairwise_p_values_are_paired_t_tests_after_holm(rng):
    values = rng.normal(0, 1, (12, 5)) + 0.6 * np.arange(5)
    pairs = list(itertools.combinations(range(5), 2))
    raw = [stats.ttest_rel(values[:, a], values[:, b]).pvalue for a, b in pairs]
    expected = np.ones((5, 5))
    for (a, b), p in zip(pairs, multipletests(raw, method="holm")[1], strict=True):
        expected[a, b] = expected[b, a] = p
    found = pairwise_t_holm(values)
    assert found == pytest.approx(expected, abs=1e-12)
    assert (found < 0.05).any()
    assert (found[~np.eye(5, dtype=bool)] > 0.05).any()


def test_a_pairs_raw_p_does_not_depend_on_the_others_in_the_pool(rng):
    values = rng.normal(0, 1, (12, 6)) + np.arange(6)
    alone = pairwise_t_holm(values[:, :2])[0, 1]
    # Nemenyi's verdict would change with the pool; here only Holm's factor may.
    assert alone <= pairwise_t_holm(values)[0, 1] <= min(1, 15 * alone)


@pytest.mark.parametrize("seed", range(8))
def test_cliques_are_the_largest_runs_without_a_difference(seed):
    rng = np.random.default_rng(seed)
    count = 6
    ranks = rng.permutation(count) + 1.0
    p = rng.random((count, count)) * 0.2
    p = np.minimum(p, p.T)
    np.fill_diagonal(p, 1)
    order = np.argsort(ranks)
    runs = [
        tuple(order[start:end].tolist())
        for start in range(count)
        for end in range(start + 2, count + 1)
        if all(p[a, b] >= 0.05 for a, b in itertools.combinations(order[start:end], 2))
    ]
    largest = [run for run in runs if not any(set(run) < set(other) for other in runs)]
    assert cliques(ranks, p) == largest


def test_letters_are_shared_by_what_cannot_be_told_apart():
    ranks = np.array([2.0, 1.0, 3.0, 4.0])
    apart = {(1, 2), (1, 3), (0, 3), (2, 3)}
    p = np.ones((4, 4))
    for a, b in apart:
        p[a, b] = p[b, a] = 0.01
    assert letters(ranks, p) == ["ab", "a", "b", "c"]


def test_rank_intervals_are_percentiles_of_resampled_ranks(rng):
    values = rng.normal(0, 1, (400, 6, 3)) + np.array([0.0, 0.0, 9.0])
    found = rank_intervals(values, higher_is_better=True)
    assert found[2].tolist() == [1.0, 1.0]
    by_hand = stats.rankdata(-values, axis=2).mean(1)
    assert found == pytest.approx(np.quantile(by_hand, [0.025, 0.975], axis=0).T)


def test_what_is_undefined_has_no_rank_and_no_part_in_intervals(rng):
    values = rng.normal(0, 1, (50, 4, 3))
    values[7, 2, 1] = np.nan
    assert np.isnan(mean_ranks(values[7], True)).all()
    found = rank_intervals(values, higher_is_better=True)
    assert found == pytest.approx(rank_intervals(np.delete(values, 7, axis=0), higher_is_better=True))
    assert ((found >= 1) & (found <= 3)).all()
    assert np.isnan(rank_intervals(values[7:8], higher_is_better=True)).all()


def test_pairs_that_never_differ_and_pairs_that_always_do():
    values = np.array([[1.0, 1.0, 2.0]] * 8)
    found = pairwise_t_holm(values)
    assert found[0, 1] == 1
    # All of eight signs are the same, of either side: 2 / 2^8, times the three pairs.
    assert found[0, 2] == found[1, 2] == pytest.approx(3 * 2 / 2**8)


def test_what_differs_by_rounding_alone_is_a_tie():
    values = np.array([[0.1 + 0.2, 0.3], [0.1 + 0.2, 0.3], [0.7 - 0.4, 0.3]])
    assert mean_ranks(values, True).tolist() == [1.5, 1.5]
    assert pairwise_t_holm(values)[0, 1] == 1.0


def test_a_gap_without_spread_is_as_sure_as_its_signs():
    """Of three blocks of one sign the exact p, of both sides, is 2 / 2^3; no t test is defined."""
    values = np.array([[0.8, 0.7], [0.6, 0.5], [0.9, 0.8]])
    assert pairwise_t_holm(values)[0, 1] == pytest.approx(0.25)
