"""Intervals of printed numbers against statsmodels and scipy."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats.proportion import proportion_confint

from mmbench.stats.intervals import logit_interval, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (5, 10), (10, 10), (411, 624), (2754, 4185)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_statsmodels(hits, n, confidence):
    found = wilson(hits, n, confidence)
    expected = proportion_confint(hits, n, alpha=1 - confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_nothing_is_nothing():
    assert math.isnan(wilson(0, 0).low)


def test_the_logit_interval_is_statsmodels_delta_method():
    # An intercept-only logistic regression of 18 hits in 20 has the Wald interval on the logit scale.
    model = Logit(np.repeat([1.0, 0.0], [18, 2]), np.ones(20)).fit(disp=0)
    low, high = 1 / (1 + np.exp(-model.conf_int()[0]))
    half = stats.norm.ppf(0.975) * math.sqrt(0.9 * 0.1 / 20)
    found = logit_interval(0.9, half)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert 0 < logit_interval(0.99, 0.05).low < logit_interval(0.99, 0.05).high < 1
