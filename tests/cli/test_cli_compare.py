"""``mmbench compare``."""

import json
import shutil

import pytest

from mmbench.analysis.results import read_results
from tests.analysis.made_up import write_results


@pytest.fixture
def folders(workplace):
    rows = {"plain": 0.0, "stronger": 3.0}
    write_results(workplace / "results" / "ours", rows, seeds=3, budgets=("full",), cases=30)
    write_results(workplace / "theirs", rows, seeds=3, budgets=("full",), cases=30, stream=1)


def test_two_rows_are_found_without_naming_the_folder(mmbench, folders):
    done = mmbench("compare", "stronger", "plain", "--metric", "dice", "--domain", "county")
    assert done.exit_code == 0, done.output
    first = done.stdout.splitlines()[0]
    assert first.startswith("Dice, county (cross-domain): stronger is better than plain by 0.")
    assert "signed-rank" not in done.stdout
    more = mmbench("compare", "stronger", "plain", "--metric", "dice", "--domain", "county", "--detail")
    assert more.stdout.startswith(first)
    assert "each pair of trainings by itself" in " ".join(more.stdout.split())
    assert "signed-rank" in more.stdout


def test_a_metric_without_verdicts_shows_the_details(mmbench, folders):
    done = mmbench("compare", "stronger", "plain", "--metric", "accuracy")
    assert done.exit_code == 0, done.output
    assert "exploratory and have no verdict" in " ".join(done.stdout.split())
    assert "better" not in done.stdout.replace("P(A better)", "")


def test_the_answer_as_json_is_the_report_s(mmbench, folders):
    found = json.loads(mmbench("compare", "stronger", "plain", "--metric", "dice", "--json").stdout)
    whole = [line for line in found["primary"] if line["budget"] == "all"]
    assert [(line["domain"], line["family"]) for line in whole] == [("adult_pa", 4), ("county", 4)]
    tests = found["comparisons"]
    assert [test["domain"] for test in tests] == ["adult_pa", "county"]
    assert all(test["family"] == 2 for test in tests)
    assert all(test["low"] <= test["difference"] <= test["high"] for test in tests)
    assert len(tests[0]["case_tests"]["p"]) == 3


def test_two_folders_are_paired_row_by_row(mmbench, folders):
    done = mmbench("compare", "results/ours", "theirs", "--metric", "dice", "--json")
    tests = json.loads(done.stdout)["comparisons"]
    assert {(test["row_a"], test["row_b"]) for test in tests} == {
        ("plain (ours)", "plain (theirs)"),
        ("stronger (ours)", "stronger (theirs)"),
    }
    one = json.loads(mmbench("compare", "ours", "theirs", "--method", "plain", "--json").stdout)[
        "comparisons"
    ]
    assert {test["row_a"] for test in one} == {"plain (ours)"}


def test_folders_of_other_data_are_refused_by_digest(mmbench, folders, workplace):
    write_results(
        workplace / "other", {"plain": 0.0}, seeds=3, budgets=("full",), cases=30, data_digest="e" * 64
    )
    refused = mmbench("compare", "ours", "other")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "data digests of paediatric_ap differ (dddddddddddd and eeeeeeeeeeee)" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plain", "plian"], "no folder under results/ has the rows plain and plian"),
        (["plain", "plain"], "plain cannot be compared with itself"),
        (["plain", "stronger", "--method", "plain"], "--method goes with two results folders"),
        (
            ["ours", "theirs", "--method", "plian"],
            "--method plian: not a row of both folders; did you mean 'plain'",
        ),
        (["plain", "stronger", "--metric", "dise"], "no metric 'dise'; did you mean 'dice'"),
        (["plain", "stronger", "--results", "nowhere"], "nowhere"),
        (["ours", "nowhere"], "nowhere"),
        (["ours", "ours"], "ours cannot be compared with itself; name two of its rows: plain, stronger"),
    ],
)
def test_wrong_words_are_one_line(mmbench, folders, words, message):
    refused = mmbench("compare", *words)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_rows_in_several_folders_must_be_chosen(mmbench, folders, workplace):
    write_results(
        workplace / "results" / "again", {"plain": 0.0, "stronger": 0.0}, seeds=1, budgets=("full",)
    )
    refused = mmbench("compare", "plain", "stronger")
    assert refused.exit_code == 2
    assert "choose one with --results" in refused.stderr


def test_a_row_without_records_in_one_folder_leaves_the_others(mmbench, folders, workplace):
    results = read_results(workplace / "theirs")
    for run in results.runs:
        if run.label == "stronger":
            for scores in results.available[run.id]:
                shutil.rmtree(workplace / "theirs/scores" / scores.id)
    done = mmbench("compare", "results/ours", "theirs", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {line["row"] for line in found["primary"]} == {"plain (ours)"}
    assert found["notes"] == ["stronger (theirs): not compared, there is no record of it yet"]
    refused = mmbench("compare", "results/ours", "theirs", "--method", "stronger")
    assert refused.exit_code == 2
    assert "stronger has no record yet" in refused.stderr
