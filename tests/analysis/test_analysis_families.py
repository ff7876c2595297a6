"""The strongest row of each family."""

import math
from types import SimpleNamespace

from mmbench.analysis.convergence import Convergence
from mmbench.analysis.families import strongest


def row(name, family, tasks="classification and segmentation"):
    return SimpleNamespace(row=name, family=family, tasks=tasks)


def validated(**scores):
    return [
        Convergence(name, metric, score, 0.0, 0.0, 2, False)
        for name, pair in scores.items()
        for metric, score in zip(("auroc", "dice"), pair, strict=True)
    ]


ROWS = [
    row("umtl", "supervised"),
    row("strong", "supervised"),
    row("enc", "supervised", "classification"),
    row("fixmatch", "semi-supervised"),
    row("positive", "trivial", "classification and segmentation"),
    row("old", ""),
]


def test_the_mean_validation_score_over_metrics_decides():
    found = strongest(ROWS, validated(umtl=(0.9, 0.6), strong=(0.8, 0.8)), {"positive"}, 2)
    assert [(one.family, one.row, one.rows) for one in found] == [
        ("supervised", "strong", 2),
        ("semi-supervised", "fixmatch", 1),
    ]
    assert found[0].score == 0.8
    assert math.isnan(found[1].score), "alone in its family, it needs no validation"


def test_rows_that_are_trained_alike_are_tied():
    rows = [row("bn_adapt", "test-time"), row("tent", "test-time"), row("other", "test-time")]
    (found,) = strongest(rows, validated(bn_adapt=(0.9, 0.7), tent=(0.9, 0.7), other=(0.8, 0.7)), set(), 2)
    assert (found.row, found.rows, found.tied) == ("bn_adapt", 3, ("tent",))


def test_rows_of_one_task_stand_for_a_family_where_there_is_no_other_task():
    found = strongest([row("enc", "supervised", "classification")], [], set(), 1)
    assert [one.row for one in found] == ["enc"]


def test_without_validation_nothing_is_chosen_among_several():
    assert [one.family for one in strongest(ROWS, [], {"positive"}, 2)] == ["semi-supervised"]
