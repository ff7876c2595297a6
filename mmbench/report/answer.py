"""The answer of a comparison in words."""

from __future__ import annotations

from collections.abc import Sequence

from mmbench.analysis.pairing import Answer
from mmbench.protocol.metrics import METRICS

VERDICTS = {
    "better": "{a} is better.",
    "worse": "{a} is worse.",
    "equivalent": "Equivalent: any difference is too small to matter.",
    "undecided": "Undecided: these trainings and cases do not show which is better.",
}
"""What a verdict on row a against row b says."""


def describe(answer: Answer) -> str:
    """Return a comparison in words."""
    test, own = answer.comparison, answer.comparison.difference
    column = test.column
    level = f"{100 * answer.protocol.statistics.confidence:g} % interval"
    where = f"{METRICS[column.metric].title}, {column.domain} ({column.scope}), {test.budgets.text} labels"
    course = "no difference"
    if own.value:
        way = "higher" if own.value > 0 else "lower"
        course = f"{test.row_a} is {way} by {abs(own.value):.3f}"
    return (
        f"{where}: {course} ({level} of the difference {own.low:+.3f} to {own.high:+.3f}, over "
        f"{own.over}). {VERDICTS[test.verdict].format(a=test.row_a, b=test.row_b)}"
    )


def answer_notes(answers: Sequence[Answer]) -> list[str]:
    """Return what the numbers of several comparisons are, one sentence each."""
    first, statistics = answers[0].comparison, answers[0].protocol.statistics
    return [
        "p: t test over trainings and patients, dual to the interval. p Holm: corrected over the "
        f"{first.family} comparisons of one metric shown. p ranks: exact signed-rank test over "
        f"{first.difference.trainings} pairs of trainings.",
        f"Differences up to {statistics.equivalence:g} (distances: "
        f"{100 * statistics.distance_equivalence:g} % of the image's diagonal) are too small to matter.",
        *(_by_training(one) for one in answers if one.case_tests.p),
    ]


def _by_training(answer: Answer) -> str:
    test, p = answer.comparison, answer.case_tests.p
    small = sum(value < 1 - answer.protocol.statistics.confidence for value in p)
    return (
        f"{answer.case_tests.name}, {test.column.metric} on {test.column.domain} at {test.budgets.text}, "
        f"each pair of trainings by itself: {small} of {len(p)} differ (p from {min(p):.2g} to {max(p):.2g})."
    )
