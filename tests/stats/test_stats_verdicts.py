"""Every verdict, its edges, and the family that it is given in."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from mmbench.stats.mixed import Estimate, mixed_estimate
from mmbench.stats.verdicts import decide

NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan, 0.0, math.nan, 0, "")


def estimate(value, spread=0.001, seeds=5):
    """Return an estimate of seeds alone, whose sample standard deviation is ``spread``."""
    values = np.linspace(-1, 1, seeds)
    values = value + spread * values / values.std(ddof=1)
    return mixed_estimate(values[None], np.zeros((seeds, seeds)), patients=1000)


@pytest.mark.parametrize(
    ("value", "spread", "expected"),
    [
        (0.03, 0.001, "better"),
        (0.0, 0.001, "equivalent"),
        (0.005, 0.001, "equivalent"),  # significant, and too small to matter
        (0.012, 0.01, "undecided"),
        (0.0, 0.02, "undecided"),
    ],
)
def test_verdict(value, spread, expected):
    (found,) = decide([estimate(value, spread)], [0.01], 0.05)
    assert found.verdict == expected
    (mirrored,) = decide([estimate(-value, spread)], [0.01], 0.05)
    assert mirrored.verdict == {"better": "worse", "worse": "better"}.get(expected, expected)


def says(decision, margin):
    low, high = decision.estimate.low, decision.estimate.high
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "equivalent" if -margin <= low and high <= margin else "undecided"


def test_no_interval_contradicts_its_verdict(rng):
    for _ in range(100):
        family = [estimate(rng.normal(0, 0.02), rng.exponential(0.01)) for _ in range(8)]
        for found in decide(family, [0.01] * 8, 0.05):
            assert found.verdict == says(found, 0.01)


def test_levels_are_holms(rng):
    for _ in range(50):
        family = [estimate(rng.normal(0, 0.03), rng.exponential(0.005)) for _ in range(7)]
        found = decide(family, [0.01] * 7, 0.05)
        raw = [one.p_of(abs(abs(one.value) - 0.01)) for one in family]
        rejected, adjusted, _, _ = multipletests(raw, alpha=0.05, method="holm")
        assert [one.verdict != "undecided" for one in found] == rejected.tolist()
        assert [one.p for one in found] == pytest.approx(adjusted)
        left = 7 - rejected.sum()
        for one in found:
            if one.verdict == "undecided":
                assert one.level == pytest.approx(0.05 / left)


def test_what_cannot_be_decided_counts_in_the_family_and_says_why():
    single = mixed_estimate(np.array([[0.5]]), np.array([[1e-9]]), patients=100)
    constant = mixed_estimate(np.zeros((1, 3)), np.zeros((3, 3)), patients=100)
    found = decide([estimate(0.03), NOTHING, single, constant], [0.01] * 4, 0.05)
    assert [one.verdict for one in found] == ["better", "undecided", "undecided", "undecided"]
    assert found[0].level == pytest.approx(0.05 / 4)
    assert [one.reason for one in found] == [
        "",
        "undefined",
        "single trainings say nothing of another seed",
        "the same in every case and training, so no spread can be estimated",
    ]
    alone = mixed_estimate(np.zeros((1, 2)), np.full((2, 2), np.nan), patients=1)
    (one,) = decide([alone], [0.01], 0.05)
    assert (one.verdict, one.reason) == ("undecided", "one patient of a class says nothing of others")
    (one,) = decide([estimate(0.03)], [0.01], 0.05, withheld=["masks are empty"])
    assert (one.verdict, one.reason) == ("undecided", "masks are empty")


def test_the_significance_level_counts():
    one = estimate(0.0133, 0.002)
    p = one.p_of(0.0033)
    assert decide([one], [0.01], 1.01 * p)[0].verdict == "better"
    assert decide([one], [0.01], 0.99 * p)[0].verdict == "undecided"


def test_a_look_out_of_several_spends_its_part():
    one = estimate(0.0133, 0.002)
    p = one.p_of(0.0033)
    assert decide([one], [0.01], 3 * p)[0].verdict == "better"
    assert decide([one], [0.01], 3 * p, nominal=lambda level: level / 4)[0].verdict == "undecided"
