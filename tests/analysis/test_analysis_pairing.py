"""Pairs of rows, within a folder and between two folders, and what is refused."""

import shutil
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from mmbench.analysis.pairing import LOOKED_AT, answer, check_digests
from mmbench.analysis.results import read_results
from mmbench.analysis.sides import Side
from mmbench.errors import StoreError
from mmbench.protocol.loading import parse_protocol
from mmbench.report.answer import pair_sentence
from mmbench.stats.delong import delong_test
from mmbench.store.frames import load_scores
from mmbench.store.looks import Looks, write_looks
from tests.analysis.made_up import protocol_text, write_results


def side(store, row, name=None):
    return Side(name or row, read_results(store.root), row)


def compared(*sides, **choices):
    return [one.as_json() for one in answer([sides], **choices).found]


@pytest.fixture
def folders(tmp_path):
    def make(name, **changes):
        settings: dict[str, Any] = {"seeds": 2, "budgets": ("full",), "cases": 30} | changes
        return write_results(tmp_path / name / "made_up", {"plain": 0.0, "stronger": 2.0}, **settings)

    return make


def test_two_rows_of_a_folder_are_compared_as_the_report_does(folders):
    from mmbench.analysis.analysis import analyse

    store = folders("a")
    tests = compared(side(store, "stronger"), side(store, "plain"))
    by_key = {(test["domain"], test["metric"]): test for test in tests}
    report = analyse(store.root).comparisons
    assert set(by_key) == set(zip(report["domain"], report["metric"], strict=True))
    for (domain, metric), test in by_key.items():
        (same,) = report[(report["domain"] == domain) & (report["metric"] == metric)].to_dict("records")
        assert test["difference"] == pytest.approx(-same["difference"])
        assert test["signed_rank_p"] == pytest.approx(same["signed_rank_p"])
        # Other random patients, the same interval but for that.
        assert test["low"] == pytest.approx(-same["high"], abs=0.1 * (same["high"] - same["low"]) + 1e-9)


def test_each_pair_of_trainings_is_tested_across_cases_too(folders):
    store = folders("a")
    scores = load_scores(store.root)
    tests = {
        (test["domain"], test["metric"]): test["case_tests"]
        for test in compared(
            side(store, "stronger"), side(store, "plain"), metrics=["accuracy", "auroc", "dice"]
        )
    }

    def values(row, domain, column):
        own = scores[(scores["row"] == row) & (scores["domain"] == domain)]
        return own.pivot_table(index="case_id", columns="seed", values=column)

    dice = values("stronger", "county", "dice") - values("plain", "county", "dice")
    expected = [
        stats.wilcoxon(dice[seed], zero_method="pratt", method="asymptotic").pvalue for seed in (0, 1)
    ]
    assert tests["county", "dice"]["p"] == pytest.approx(expected)
    for seed in (0, 1):
        ours, theirs = (values(row, "hospital", "correct")[seed] > 0.5 for row in ("stronger", "plain"))
        table = [[0, (ours & ~theirs).sum()], [(~ours & theirs).sum(), 0]]
        known = mcnemar(table, exact=sum(map(sum, table)) < 25, correction=True).pvalue
        assert tests["hospital", "accuracy"]["p"][seed] == pytest.approx(known)
    labels = values("plain", "hospital", "label")[0]
    ours, theirs = (values(row, "hospital", "probability")[0] for row in ("stronger", "plain"))
    known = delong_test(labels.to_numpy(), ours.to_numpy(), theirs.to_numpy()).test.p
    assert tests["hospital", "auroc"]["p"][0] == pytest.approx(known)


def test_two_folders_are_paired_by_row(folders):
    ours, theirs = folders("a"), folders("b", stream=1)
    (test,) = compared(
        side(ours, "plain", "plain (a)"),
        side(theirs, "plain", "plain (b)"),
        metrics=["dice"],
        domains=["county"],
    )
    assert (test["row_a"], test["row_b"]) == ("plain (a)", "plain (b)")
    assert test["trainings"] == 2
    # Looking at one domain alone makes the family no smaller.
    assert test["family"] == 2


def test_the_same_folder_twice_has_no_difference(folders):
    store = folders("a")
    (found,) = answer(
        [(side(store, "plain", "one"), side(store, "plain", "other"))], metrics=["dice"], domains=["county"]
    ).primary
    assert found.difference.value == 0
    # Two trainings and thirty cases without an exception do not exclude one in ten.
    assert found.difference.high > 0.1
    assert found.verdict == "undecided"
    assert found.reason.startswith("the same in every case and training")


def test_trainings_without_a_partner_are_told(folders):
    ours, theirs = folders("a", seeds=4), folders("b", seeds=2, stream=1)
    found = answer([(side(ours, "plain", "plain (a)"), side(theirs, "plain", "plain (b)"))])
    assert found.notes == (
        "plain (a): 2 trainings at each budget left out, because the other side has none of the same subset "
        "and seed",
    )
    assert {one.comparison.difference.trainings for one in found.found} == {2}


def test_the_family_is_what_could_be_asked_not_what_is_shown(folders):
    store = folders("a", seeds=4)
    sides = [(side(store, "stronger"), side(store, "plain"))]
    whole, part = answer(sides), answer(sides, domains=["county"], metrics=["dice"])
    assert len(whole.primary) == 4
    (shown,) = part.primary
    (same,) = (r for r in whole.primary if (r.column.domain, r.column.metric) == ("county", "dice"))
    assert shown == same
    assert shown.family == 4


def test_there_is_no_test_over_cases_of_f1_and_brier(folders):
    store = folders("a")
    for test in compared(side(store, "stronger"), side(store, "plain"), metrics=["f1_pneumonia", "brier"]):
        assert test["case_tests"] == {"name": "", "p": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data_digest": "e" * 64},
            "the data digests of paediatric_ap differ (dddddddddddd and eeeeeeeeeeee)",
        ),
        (
            {"split_digest": "t" * 64},
            "the split digests of paediatric_ap differ (ssssssssssss and tttttttttttt)",
        ),
        ({"more": "evaluation: {class_threshold: 0.4}"}, "evaluation.class_threshold is 0.5 and 0.4"),
        ({"more": "evaluation: {spacing: 2}"}, "evaluation.spacing is 1.0 and 2.0"),
        ({"more": "image_size: 128"}, "pixels wide; run both at one image_size"),
        ({"cases": 31}, "not scored on the same cases, so they cannot be paired"),
    ],
)
def test_rows_that_cannot_be_paired_are_refused_and_told_why(folders, changes, message):
    ours, theirs = folders("a"), folders("b", **changes)
    with pytest.raises(StoreError) as caught:
        answer([(side(ours, "plain", "a"), side(theirs, "plain", "b"))])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digests_of_domains_that_only_one_side_has_do_not_matter(folders):
    check_digests(side(folders("a"), "plain"), side(folders("b"), "stronger"))


def test_unknown_names_are_one_line_with_a_suggestion(folders):
    store = folders("a")
    a, b = side(store, "stronger"), side(store, "plain")
    with pytest.raises(StoreError, match="has no row 'plian'; did you mean 'plain'"):
        answer([(a, side(store, "plian"))])
    with pytest.raises(StoreError, match="no metric 'dise'; did you mean 'dice'"):
        answer([(a, b)], metrics=["dise"])
    with pytest.raises(StoreError, match="no scores on a domain 'countie'; did you mean 'county'"):
        answer([(a, b)], domains=["countie"])


def test_the_answer_in_words(folders):
    store = folders("a", seeds=6)
    sides = [(side(store, "stronger"), side(store, "plain"))]
    (record,) = answer(sides, metrics=["dice"], domains=["county"]).primary
    assert record.verdict == "better"
    words = pair_sentence(record)
    assert words.startswith("Dice, county (cross-domain): stronger is better than plain by 0.")
    assert f"[{record.difference.low:+.3f}, {record.difference.high:+.3f}]" in words


def test_single_trainings_have_a_difference_and_no_interval(folders):
    store = folders("a", seeds=1, budgets=("10", "full"))
    (record,) = answer(
        [(side(store, "stronger"), side(store, "plain"))], metrics=["dice"], domains=["county"]
    ).primary
    words = pair_sentence(record)
    assert words.startswith(
        "Dice, county (cross-domain): undecided (single trainings say nothing of another seed): +0."
    )
    assert "nan" not in words


def test_a_group_sequential_run_is_not_looked_at_between_its_looks(folders):
    store = folders("a", seeds=6)
    sides = [(side(store, "stronger"), side(store, "plain"))]
    assert "better" in {record.verdict for record in answer(sides).primary}
    write_looks(store, Looks(schedule=[3, 20], alpha=0.04, family=4))
    sides = [(side(store, "stronger"), side(store, "plain"))]
    assert {(record.verdict, record.reason) for record in answer(sides).primary} == {("undecided", LOOKED_AT)}


def planned(seed, subset, row="mean_mask"):
    return SimpleNamespace(label=row, seed=seed, subset=subset)


@pytest.mark.parametrize(
    ("subsets", "runs", "unseeded"),
    [
        ("", [planned(0, 0), planned(0, 1)], True),
        ("", [planned(0, 0), planned(1, 1)], False),
        ("subsets: 2", [planned(0, 0), planned(0, 1)], True),
        ("subsets: 2", [planned(0, 0), planned(1, 0), planned(0, 1), planned(1, 1)], False),
    ],
)
def test_a_row_without_seeds_is_known_by_its_runs(subsets, runs, unseeded):
    text = protocol_text(["unet"], ["full"], 2, 2).replace("subsets: 2", subsets)
    results: Any = SimpleNamespace(protocol=parse_protocol(text), runs=runs)  # made up
    assert Side("mean_mask", results, "mean_mask").unseeded is unseeded


def test_one_run_of_a_row_without_seeds_is_the_partner_of_every_seed(folders, monkeypatch):
    store = folders("a", subsets=2, seeds=3)
    for run in read_results(store.root).runs:
        if run.label == "plain" and run.seed:
            shutil.rmtree(store.runs.folder(run.id))
    scores = load_scores(store.root)
    monkeypatch.setattr(Side, "unseeded", property(lambda side: side.row == "plain"))
    sides = side(store, "stronger"), side(store, "plain")
    (test,) = compared(*sides, metrics=["dice"], domains=["county"])
    assert test["trainings"] == 6
    own: Any = scores[scores["domain"] == "county"].pivot_table(  # its columns have levels
        index="case_id", columns=["row", "subset", "seed"], values="dice"
    )
    expected = own["stronger"] - own["plain"].xs(0, level="seed", axis=1).reindex(
        own["stronger"].columns.get_level_values("subset"), axis=1
    ).set_axis(own["stronger"].columns, axis=1)
    assert test["difference"] == pytest.approx(expected.mean().mean())
    assert answer([sides]).notes == ()
