"""Error rates, coverage and predicted power on simulated benchmarks (docs/statistics.md has all designs)."""

import numpy as np
import pytest

from benchmarks import validity
from benchmarks.validity import hierarchical_bootstrap
from mmbench.stats.intervals import wilson

BENCHMARKS = 1000


@pytest.mark.slow
@pytest.mark.parametrize(("task", "design"), [("segmentation", (5, 2, 60)), ("classification", (1, 10, 60))])
def test_without_a_difference_verdicts_and_intervals_keep_their_word(task, design):
    found = validity.run(task, design, BENCHMARKS)
    assert found["better"] <= 0.05
    assert wilson(found["better"] * BENCHMARKS, BENCHMARKS).high <= 0.065
    assert 0.93 <= found["differences"] <= 0.97
    assert 0.93 <= found["scores"] <= 0.97


@pytest.mark.slow
def test_predicted_power_is_found():
    _, predicted, found = validity.powers((3, 3, 60), 500)
    assert found == pytest.approx(predicted, abs=0.05)


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
