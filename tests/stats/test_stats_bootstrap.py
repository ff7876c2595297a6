"""The bootstraps against scipy and against variances that are known."""

import numpy as np
import pytest
from scipy import stats

from mmbench.stats.bootstrap import hierarchical_bootstrap, paired_bootstrap


def test_the_paired_interval_is_scipys(rng):
    scores = rng.normal([0.8, 0.7], [0.1, 0.2], (120, 2))
    found = paired_bootstrap(scores, np.arange(120), rng, resamples=20_000)
    difference, low, high = found.difference(0, 1)
    expected = stats.bootstrap(
        (scores[:, 0] - scores[:, 1],), np.mean, n_resamples=20_000, method="percentile", rng=rng
    ).confidence_interval
    width = expected.high - expected.low
    assert difference == pytest.approx((scores[:, 0] - scores[:, 1]).mean())
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_a_patients_cases_stay_together(rng):
    # Every patient has four equal cases: only 30 numbers are independent.
    by_patient = rng.normal(0, 1, 30)
    scores = np.repeat(by_patient, 4)[:, None]
    clustered = paired_bootstrap(scores, np.repeat(np.arange(30), 4), rng)
    naive = paired_bootstrap(scores, np.arange(120), rng)
    known = by_patient.std() / np.sqrt(30)
    assert clustered.resampled.std() == pytest.approx(known, rel=0.05)
    assert naive.resampled.std() == pytest.approx(known / 2, rel=0.05)


def test_methods_see_the_same_patients(rng):
    scores = rng.normal(0, 1, (50, 1)) + np.array([0.0, 0.25])
    found = paired_bootstrap(scores, np.arange(50), rng, resamples=500)
    assert found.difference(1, 0) == pytest.approx((0.25, 0.25, 0.25))


def test_the_hierarchical_bootstraps_variance_is_known(rng):
    """Of additive effects it is the sum of each factor's, (n - 1) / n of the unbiased one."""
    subsets, seeds, patients = 4, 6, 50
    a, b, c = rng.normal(0, 1, subsets), rng.normal(0, 2, seeds), rng.normal(0, 3, patients)
    values = a[:, None, None] + b[None, :, None] + c[None, None, :]
    means = hierarchical_bootstrap(values, np.arange(patients), rng, resamples=20_000)
    known = a.var() / subsets + b.var() / seeds + c.var() / patients
    assert means.mean() == pytest.approx(values.mean(), abs=4 * np.sqrt(known / 20_000))
    assert means.var() == pytest.approx(known, rel=0.05)


def test_the_hierarchical_bootstrap_clusters_patients(rng):
    by_patient = np.repeat(rng.normal(0, 1, 20), 3)
    means = hierarchical_bootstrap(
        np.broadcast_to(by_patient, (2, 2, 60)), np.repeat(np.arange(20), 3), rng, resamples=10_000
    )
    assert means.var() == pytest.approx(by_patient.var() / 20, rel=0.06)
