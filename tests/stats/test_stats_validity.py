"""Error rates, coverage and predicted power on simulated benchmarks (docs/statistics.md has all designs)."""

import pytest

from benchmarks import validity
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
