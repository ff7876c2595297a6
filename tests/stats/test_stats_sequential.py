"""Group-sequential levels against published boundaries and simulation."""

import numpy as np
import pytest
from scipy import stats

from mmbench.stats.sequential import nominal_level, schedule, spent


def test_looks_grow_by_two_fifths():
    assert schedule(3, 20) == [3, 5, 7, 10, 14, 20]
    assert schedule(5, 5) == [5]
    assert schedule(3, 8) == [3, 5, 8]
    assert schedule(4, 3) == [3]


def test_the_whole_error_is_spent_at_the_end_and_little_before():
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(0.5, 0.05) < 0.005
    shares = [spent(share, 0.05) for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert shares == sorted(shares)


def test_boundaries_are_the_published_ones():
    # Lan and DeMets' O'Brien-Fleming type spending, five equal looks, two-sided 0.05 (R's gsDesign and
    # ldbounds; Jennison and Turnbull 2000): 4.877, 3.357, 2.680, 2.290, 2.031.
    limits = [stats.norm.isf(nominal_level([1, 2, 3, 4, 5], look, 0.05) / 2) for look in range(5)]
    assert limits == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3)


def test_one_look_spends_everything():
    assert nominal_level([7], 0, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_the_error_over_all_looks_is_alpha(rng, alpha):
    looks = [3, 5, 7, 10, 14, 20]
    limits = stats.norm.isf([nominal_level(looks, look, alpha) / 2 for look in range(len(looks))])
    walks = rng.normal(0, 1, (200_000, 20)).cumsum(axis=1)[:, [look - 1 for look in looks]]
    crossed = (np.abs(walks / np.sqrt(looks)) > limits).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 200_000))
