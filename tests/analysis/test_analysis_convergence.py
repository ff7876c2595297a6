"""Which rows still improve when their trainings end."""

import math
from types import SimpleNamespace

import pytest
from scipy import stats

from mmbench.analysis.convergence import convergence
from mmbench.protocol.loading import parse_protocol

PROTOCOL = parse_protocol(
    'name: a\nsources: {segmentation: "phantom:adult_pa"}\nbudgets: {pairs: [{segmentation: full}]}\n'
    "methods: [unet]\n"
)


def found(*gains):
    runs = [SimpleNamespace(id=str(place), label="unet") for place in range(len(gains))]
    validated = {str(place): ({"dice": 0.9}, {"dice": gain}) for place, gain in enumerate(gains)}
    return convergence(runs, validated, PROTOCOL)  # type: ignore[arg-type]  # made-up runs


def test_the_gain_is_a_mean_with_a_one_sided_interval():
    (one,) = found(0.004, 0.006, 0.008)
    assert (one.row, one.metric, one.score, one.runs) == ("unet", "dice", pytest.approx(0.9), 3)
    assert one.gain == pytest.approx(0.006)
    assert one.low == pytest.approx(0.006 - stats.t.ppf(0.95, 2) * 0.002 / math.sqrt(3))
    assert one.improving


@pytest.mark.parametrize(
    "gains",
    [
        (0.002, 0.0021, 0.0022),  # below a quarter of the margin of 0.01
        (0.03, -0.02, 0.01),  # above it, but not beyond chance
        (0.03,),  # one run shows no spread
        (-0.01, -0.011),
    ],
)
def test_little_or_uncertain_gains_are_none(gains):
    assert not found(*gains)[0].improving


def test_runs_without_a_validation_are_left_out():
    assert found() == []
    (one,) = found(0.01, math.nan, 0.01)
    assert one.runs == 2
    runs = [SimpleNamespace(id="x", label="unet")]
    assert convergence(runs, {}, PROTOCOL) == []  # type: ignore[arg-type]  # made-up runs
