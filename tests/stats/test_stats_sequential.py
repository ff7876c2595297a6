"""Group-sequential levels against published boundaries and simulation."""

import numpy as np
import pytest
from scipy import stats

from mmbench.stats import sequential
from mmbench.stats.sequential import nominal_level, schedule, spent


def test_looks_grow_by_two_fifths():
    assert schedule(3, 20) == [3, 5, 7, 10, 14, 20]
    assert schedule(5, 5) == [5]
    assert schedule(3, 8) == [3, 5, 8]
    assert schedule(4, 3) == [3]


def test_the_whole_error_is_spent_at_the_end_and_less_than_in_proportion_before():
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    # 0.05 / sqrt(8)
    assert spent(0.5, 0.05) == pytest.approx(0.0176777, abs=1e-7)
    shares = [spent(share, 0.05) for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert shares == sorted(shares)


def obrien_fleming(share, alpha):
    return 4 * stats.norm.sf(stats.norm.isf(alpha / 4) / np.sqrt(share))


def test_boundaries_of_a_published_spending_are_the_published_ones(monkeypatch):
    # Lan and DeMets' O'Brien-Fleming type spending, five equal looks, two-sided 0.05 (R's gsDesign and
    # ldbounds; Jennison and Turnbull 2000): 4.877, 3.357, 2.680, 2.290, 2.031.
    monkeypatch.setattr(sequential, "spent", obrien_fleming)
    uncached = sequential._nominal_levels.__wrapped__  # noqa: SLF001  the cache knows our own spending
    levels = uncached((1, 2, 3, 4, 5), 0.05)
    limits = stats.norm.isf(np.array(levels) / 2)
    assert limits == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3)


@pytest.mark.parametrize("looks", [(3, 5, 7), (2, 3, 4, 9)])
def test_boundaries_agree_with_the_multivariate_normal_distribution(looks):
    limits = np.array([stats.norm.isf(nominal_level(looks, look, 0.02) / 2) for look in range(len(looks))])
    times = np.array(looks) / looks[-1]
    # Cor(Z_j, Z_k) = sqrt(t_j / t_k) for j < k.
    correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    for last in range(1, len(looks) + 1):
        inside = stats.multivariate_normal.cdf(
            limits[:last], cov=correlation[:last, :last], lower_limit=-limits[:last], abseps=1e-6
        )
        assert 1 - inside == pytest.approx(spent(times[last - 1], 0.02), abs=1e-4)


def test_one_look_spends_everything():
    assert nominal_level([7], 0, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_the_error_over_all_looks_is_alpha(rng, alpha):
    looks = [3, 5, 7, 10, 14, 20]
    limits = stats.norm.isf([nominal_level(looks, look, alpha) / 2 for look in range(len(looks))])
    walks = rng.normal(0, 1, (200_000, 20)).cumsum(axis=1)[:, [look - 1 for look in looks]]
    crossed = (np.abs(walks / np.sqrt(looks)) > limits).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 200_000))
