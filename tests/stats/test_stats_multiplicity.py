"""Holm's correction against statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from mmbench.stats.multiplicity import holm


@pytest.mark.parametrize("count", [1, 2, 15, 40])
def test_holm_is_statsmodels(rng, count):
    p = rng.random(count) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_with_ties_is_statsmodels():
    p = np.array([0.01, 0.04, 0.01, 0.04, 0.9])
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_tests_that_could_not_be_made_do_not_count():
    p = np.array([0.01, np.nan, 0.02])
    found = holm(p)
    assert found[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(found[1])
    assert holm(np.zeros(0)).shape == (0,)
