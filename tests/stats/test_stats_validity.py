"""Error rates, coverage and predicted power on simulated reports (docs/statistics.md has all generators)."""

import pytest

from benchmarks import validity
from mmbench.stats.intervals import wilson

REPORTS = 120


@pytest.mark.slow
@pytest.mark.parametrize("shifts", [None, validity.AT_MARGIN])
def test_verdicts_and_intervals_keep_their_word(shifts):
    found = validity.run("friendly", REPORTS, shifts=shifts)
    # At the margin the true rate is nearly 5 %, so only what chance does not explain is a fault.
    assert wilson(found["wrong"] * REPORTS, REPORTS).low <= 0.05
    assert 0.93 <= found["differences"] <= 0.97
    assert 0.93 <= found["scores"] <= 0.975


@pytest.mark.slow
def test_without_a_difference_something_can_be_decided():
    found = validity.run("friendly", 25, seeds=12)
    assert found["wrong"] <= 0.05
    assert found["decided"] > 0.5


@pytest.mark.slow
def test_predicted_power_is_found():
    _, predicted, found = validity.powers(5, REPORTS)
    assert found == pytest.approx(predicted, abs=0.1)
