"""Every verdict, and its edges."""

import pytest

from mmbench.stats.verdicts import verdict


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.02, 0.05, 0.01, "better"),
        (-0.05, -0.02, 0.01, "worse"),
        (-0.009, 0.009, 0.9, "equivalent"),
        (0.002, 0.009, 0.001, "equivalent"),  # significant, and too small to matter
        (0.005, 0.05, 0.01, "undecided"),  # significant, perhaps too small to matter
        (0.02, 0.05, 0.06, "undecided"),  # not significant after correction
        (-0.05, -0.02, 0.06, "undecided"),
        (-0.1, 0.1, 0.9, "undecided"),
        (float("nan"), float("nan"), float("nan"), "undecided"),
    ],
)
def test_verdict(low, high, p, expected):
    assert verdict(low, high, p, margin=0.01) == expected
    mirrored = {"better": "worse", "worse": "better"}.get(expected, expected)
    assert verdict(-high, -low, p, margin=0.01) == mirrored


def test_the_significance_level_counts():
    assert verdict(0.02, 0.05, 0.03, margin=0.01, alpha=0.01) == "undecided"
