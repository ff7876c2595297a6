"""The report's numbers against plain numpy on the same records."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mmbench.analysis.analysis import analyse
from mmbench.errors import StoreError
from mmbench.store.frames import load_scores
from mmbench.store.store import ResultStore
from tests.analysis.made_up import write_results


def chosen(frame, **values):
    keep = pd.Series(True, frame.index)
    for name, value in values.items():
        keep &= frame[name] == value
    return frame[keep]


def test_estimates_are_means_of_trainings_means(made_up, analysis):
    scores = load_scores(made_up)
    for row in ("plain", "stronger"):
        own = chosen(scores, row=row, domain="county", budget_segmentation="full")
        by_training = own.groupby("seed")["dice"].mean()
        (record,) = chosen(
            analysis.estimates, row=row, domain="county", budget_segmentation="full", metric="dice"
        ).to_dict("records")
        assert record["estimate"] == pytest.approx(by_training.mean())
        assert record["sd"] == pytest.approx(by_training.std())
        assert record["trainings"] == 4
        assert record["low"] < record["estimate"] < record["high"]
        assert record["over"] == "cases and 4 seeds"
        assert record["runs"].split() == list(dict.fromkeys(own["run"]))


def test_differences_are_paired_by_training_and_case(made_up, analysis):
    scores = chosen(load_scores(made_up), domain="county", budget_segmentation="10")
    wide = scores.pivot_table(index=["seed", "case_id"], columns="row", values="dice")
    gaps = (wide["stronger"] - wide["plain"]).unstack()  # noqa: PD010
    (test,) = chosen(
        analysis.comparisons, domain="county", budget="10/10", metric="dice", row_a="plain", row_b="stronger"
    ).to_dict("records")
    by_training = -gaps.mean(axis=1)
    assert test["difference"] == pytest.approx(by_training.mean())
    assert test["signed_rank_p"] == pytest.approx(stats.wilcoxon(by_training, method="exact").pvalue)
    # Nadeau and Bengio's ratio: 40 test cases to 160 for training.
    t = by_training.mean() / math.sqrt((1 / 4 + 40 / 160) * by_training.var(ddof=1))
    assert test["nadeau_bengio_p"] == pytest.approx(2 * stats.t.sf(abs(t), 3))
    assert test["superiority"] == pytest.approx((gaps.to_numpy() < 0).mean())
    # The interval: between trainings 3 degrees of freedom, shared by patients 39.
    cases = gaps.to_numpy()
    covariance = np.cov(cases) / cases.shape[1] * (39 / 40)
    shared = covariance[~np.eye(4, dtype=bool)].mean()
    assert test["se"] ** 2 == pytest.approx(by_training.var(ddof=1) / 4 + max(shared, 0), rel=0.1)


def test_p_values_are_corrected_over_one_metric_and_domain(analysis):
    against = chosen(analysis.estimates, metric="dice", domain="county").dropna(subset=["p_holm"])
    assert len(against) == 4  # two rows at two budgets
    assert set(against["family"]) == {4}
    expected = multipletests(against["p"], method="holm")[1]
    assert against["p_holm"].to_numpy() == pytest.approx(expected)


def test_pairs_are_corrected_over_one_metric_domain_and_budget(analysis):
    pairs = chosen(analysis.comparisons, metric="accuracy", domain="hospital", budget="full/full")
    assert set(pairs["family"]) == {3}
    assert pairs["p_holm"].to_numpy() == pytest.approx(multipletests(pairs["p"], method="holm")[1])


def test_the_verdicts_are_those_that_were_made_up(analysis):
    dice = chosen(analysis.primary, metric="dice", budget="all")
    verdicts = dice.groupby("row")["verdict"].agg(set)
    assert verdicts["stronger"] == {"better"}
    assert not verdicts["alike"] & {"better", "worse"}
    # Two rows, two domains, AUROC and Dice: one family, whatever the domain.
    assert set(chosen(analysis.primary, budget="all")["family"]) == {8}
    assert len(chosen(analysis.primary, budget="all")) == 8


def test_single_budgets_are_tested_behind_a_decided_comparison_only(analysis):
    behind = analysis.primary[analysis.primary["budget"] != "all"]
    opened = {
        (line["row"], line["domain"], line["metric"]): line["verdict"] != "undecided"
        for line in chosen(analysis.primary, budget="all").to_dict("records")
    }
    assert set(opened.values()) == {True, False}
    for line in behind.to_dict("records"):
        assert (line["verdict"] is not None) == opened[line["row"], line["domain"], line["metric"]]
    # A cell's verdict is that of its budget; other metrics and open comparisons have none.
    cells = analysis.estimates.dropna(subset=["verdict"])
    assert set(cells["metric"]) <= {"dice", "auroc"}
    for cell in cells.to_dict("records"):
        (line,) = chosen(
            behind,
            row=cell["row"],
            domain=cell["domain"],
            metric=cell["metric"],
            budget=f"{cell['budget_classification']}/{cell['budget_segmentation']}",
        ).to_dict("records")  # fmt: skip
        assert (cell["verdict"], cell["difference_low"]) == (line["verdict"], line["low"])


def test_a_primary_comparison_is_the_mean_over_budgets_of_paired_differences(made_up, analysis):
    scores = chosen(load_scores(made_up), domain="county")
    means = scores.groupby(["row", "budget_segmentation", "seed"])["dice"].mean()
    gaps = (means["stronger"] - means["plain"]).unstack()  # noqa: PD010
    (line,) = chosen(analysis.primary, row="stronger", domain="county", metric="dice", budget="all").to_dict(
        "records"
    )
    assert line["difference"] == pytest.approx(gaps.mean(axis=1).mean())
    own, other = means["stronger"].unstack(), means["plain"].unstack()  # noqa: PD010
    shared = sum(np.cov(own.loc[b], other.loc[b])[0, 1] for b in own.index)
    variances = sum(own.loc[b].var() + other.loc[b].var() for b in own.index)
    assert line["saved"] == pytest.approx(2 * shared / variances)


def test_ranks_and_ties_follow(analysis):
    ranks = chosen(analysis.ranks, metric="dice", domain="county").set_index("row")
    assert ranks["mean_rank"].idxmin() == "stronger"
    assert ranks.loc["stronger", "mean_rank"] == 1.0
    assert ranks["mean_rank"].sum() == pytest.approx(6)
    assert not set(ranks.loc["stronger", "group"]) & set(ranks.loc["plain", "group"])
    best = chosen(analysis.estimates, metric="dice", domain="county", budget_segmentation="full")
    assert best.set_index("row")["best"].to_dict() == {"plain": False, "stronger": True, "alike": False}


def test_the_same_records_give_the_same_numbers(made_up, analysis):
    again = analyse(made_up)
    pd.testing.assert_frame_equal(again.estimates, analysis.estimates)
    pd.testing.assert_frame_equal(again.ranks, analysis.ranks)


def test_one_training_decides_nothing(tmp_path):
    write_results(tmp_path / "one", {"plain": 0.0, "stronger": 3.0}, seeds=1, budgets=("full",))
    found = analyse(tmp_path / "one")
    assert set(found.primary["verdict"].dropna()) == {"undecided"}
    assert set(chosen(found.primary, budget="all")["reason"]) == {
        "single trainings say nothing of another seed"
    }
    assert not found.estimates["verdict"].notna().any()
    assert (found.estimates["over"] == "cases of one training").all()
    assert not len(found.ranks)
    assert any("training" in text for text in found.facts.warnings)


def test_gaps_in_the_grid_are_left_out_of_pairs(tmp_path):
    store = write_results(tmp_path / "gaps", {"plain": 0.0, "stronger": 2.0}, seeds=3, budgets=("full",))
    plan = store.load_plan()
    store.runs.remove(next(run.id for run in plan.runs if run.label == "plain" and run.seed == 1))
    found = analyse(tmp_path / "gaps")
    assert set(found.comparisons["trainings"]) == {2}
    assert set(chosen(found.estimates, row="stronger")["trainings"]) == {3}
    assert [run.state for run in found.runs].count("missing") == 1


def test_nothing_finished_is_nothing(tmp_path):
    store = write_results(tmp_path / "none", ["plain"], seeds=1, budgets=("full",))
    for run in store.load_plan().runs:
        store.runs.remove(run.id)
    assert analyse(tmp_path / "none") is None


def test_cells_of_other_cases_are_refused_in_one_line(tmp_path):
    write_results(tmp_path / "mixed", ["plain", "other"], seeds=1, budgets=("full",), cases=20)
    other = write_results(tmp_path / "b" / "mixed", ["plain", "other"], seeds=1, budgets=("full",), cases=21)
    store = ResultStore(tmp_path / "mixed")
    run = store.load_plan().runs[0]
    store.runs.remove(run.id)
    other.runs.folder(run.id).rename(store.runs.folder(run.id))
    for spec in store.load_plan().scores(run):
        for layer, id in (("predictions", spec.predictions.id), ("scores", spec.id)):
            getattr(store, layer).remove(id)
            getattr(other, layer).folder(id).rename(getattr(store, layer).folder(id))
    with pytest.raises(StoreError, match="not scored on the same cases; their data or splits differ"):
        analyse(tmp_path / "mixed")
