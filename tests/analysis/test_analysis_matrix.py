import math
import statistics

import numpy as np
import pandas as pd
import pytest

from mmbench.analysis.frames import LONG, long_frame
from mmbench.analysis.matrix import Trainings, matrix_of
from mmbench.analysis.rows import Budgets, Cell, Column, compatible
from mmbench.errors import StoreError
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Backbone, Selection, Training
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task
from mmbench.report.notes import spread_notes
from mmbench.store.frames import SUMMARY_COLUMNS
from tests.analysis.analysed import TRIVIAL


def find(matrix, row, classification=None, segmentation=None):
    return next(
        cell
        for cell in matrix.cells
        if (cell.row, cell.classification, cell.segmentation) == (row, classification, segmentation)
    )


def planned_runs(results) -> list[RunSpec]:
    """Runs for the fixture's rows; their ids replace the fixture's names in ``results``."""
    found = []
    for run in results.drop_duplicates("run").to_dict("records"):
        budgets = {
            task: budget if (budget := run[f"budget_{task}"]) == "full" else int(budget)
            for task in ("classification", "segmentation")
            if pd.notna(run[f"budget_{task}"])
        }
        digest = DomainDigest(domain="a", data="b", split="c")
        found.append(
            RunSpec(
                label=run["row"],
                method=run["method"],
                hyperparameters={},
                budgets=budgets,
                paired_budgets=budgets,
                subset=run["subset"],
                seed=run["seed"],
                protocol_seed=0,
                backbone=Backbone(),
                image_size=64,
                training=Training(),
                selection=Selection(),
                sources=dict.fromkeys(budgets, digest),
            )
        )
    names = dict(zip(results["run"].drop_duplicates(), (run.id for run in found), strict=True))
    results["run"] = results["run"].map(names)
    return found


def test_rows_are_grouped_by_model_then_budgets_with_trivial_baselines_last(results, protocol):
    matrix = matrix_of(results.sample(frac=1, random_state=0), protocol, TRIVIAL)
    assert [(cell.row, cell.classification, cell.segmentation) for cell in matrix.cells] == [
        ("unet", None, "10"),
        ("enc", "100", None),
        ("enc", "full", None),
        ("MultiMix", "100", "10"),
        ("MultiMix", "full", "10"),
        ("positive", "100", None),
        ("positive", "full", None),
        ("mean_mask", None, "10"),
    ]
    assert [cell.trivial for cell in matrix.cells] == [False] * 5 + [True] * 3


def test_budgets_are_ordered_as_numbers(protocol):
    rows = [
        (
            f"c{budget}",
            "enc",
            "enc",
            budget,
            None,
            0,
            0,
            "kermany",
            "classification",
            True,
            60,
            "accuracy",
            0.5,
        )
        for budget in ("1000", "full", "20", "100")
    ]
    matrix = matrix_of(pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)), protocol, ())
    assert [cell.classification for cell in matrix.cells] == ["20", "100", "1000", "full"]


def test_columns_are_in_domain_then_cross_domain(results, protocol):
    matrix = matrix_of(results, protocol, TRIVIAL)
    assert [(column.scope, column.domain, column.heading) for column in matrix.columns] == [
        (scope, domain, heading)
        for scope, domain, headings in (
            ("in-domain", "kermany", ("Acc", "F1-N", "F1-P", "AUROC")),
            ("in-domain", "jsrt", ("DS", "HD", "SSIM")),
            ("cross-domain", "nih", ("Acc", "F1-N", "F1-P", "AUROC")),
            ("cross-domain", "montgomery", ("DS", "HD", "SSIM")),
        )
        for heading in headings
    ]


def test_numbers_are_means_and_deviations_over_trainings(results, protocol):
    matrix = matrix_of(results, protocol, TRIVIAL)
    value = matrix.values[
        find(matrix, "MultiMix", "full", "10"), Column(True, "kermany", Task.CLASSIFICATION, "accuracy")
    ]
    runs = [0.5 + 2 / 32 + 1 / 8 + 1 / 128, 0.5 + 2 / 32 + 1 / 8 + 1 / 128 + 1 / 64]
    assert value.mean == pytest.approx(statistics.mean(runs))
    assert value.sd == pytest.approx(statistics.stdev(runs))
    assert value.n == 2
    trivial = matrix.values[
        find(matrix, "positive", "full"), Column(False, "nih", Task.CLASSIFICATION, "f1_pneumonia")
    ]
    assert trivial.mean == pytest.approx(0.5 + 3 / 32)
    assert math.isnan(trivial.sd)


def test_undefined_values_are_left_out_and_told(results, protocol):
    chosen = (results["row"] == "enc") & (results["seed"] == 0) & (results["metric"] == "f1_normal")
    results.loc[chosen & (results["domain"] == "nih"), "value"] = np.nan
    matrix = matrix_of(results, protocol, TRIVIAL)
    value = matrix.values[find(matrix, "enc", "100"), Column(False, "nih", Task.CLASSIFICATION, "f1_normal")]
    assert value.n == 1
    assert value.mean == pytest.approx(0.5 + 1 / 32 + 1 / 64)
    assert "Left out of means because undefined: F1-N on nih in 2 trainings." in spread_notes(matrix)


def test_the_long_frame_holds_every_metric_unrounded(results, protocol):
    long = long_frame(matrix_of(results, protocol, TRIVIAL))
    assert tuple(long.columns) == LONG
    assert len(long) == len(results.drop_duplicates(["row", "budget_classification", "domain", "metric"]))
    chosen = long[(long["row"] == "unet") & (long["domain"] == "jsrt") & (long["metric"] == "hausdorff")]
    assert chosen["mean"].item() == pytest.approx(16 * (1 - 0.625 - 1 / 128))
    assert {"auroc", "empty_prediction"} <= set(long["metric"])


def test_missing_and_failed_runs_are_counted(results, protocol):
    runs = planned_runs(results)
    gone = [run for run in runs if run.label == "unet"] + [runs[-1]]
    kept = results[~results["run"].isin([run.id for run in gone])]
    matrix = matrix_of(kept, protocol, TRIVIAL, runs=runs, failed=[gone[0].id, "other"])
    sentence = (
        f"3 of {len(runs)} runs missing (1 failed): … stands for rows without any, n tells what is there."
    )
    assert sentence in spread_notes(matrix)
    assert matrix.trainings[find(matrix, "unet", None, "10")] == Trainings(0, 2)
    assert find(matrix, "mean_mask", None, "10") in matrix.cells


def test_records_that_the_plan_does_not_name_are_left_out(results, protocol):
    runs = [run for run in planned_runs(results) if run.label != "enc"]
    matrix = matrix_of(results, protocol, TRIVIAL, runs=runs)
    assert "enc" not in {cell.row for cell in matrix.cells}
    assert not any("missing" in sentence for sentence in spread_notes(matrix))


def test_the_plans_labels_count(results, protocol):
    runs = [
        run.model_copy(update={"label": "Ours"}) for run in planned_runs(results) if run.method == "multimix"
    ]
    matrix = matrix_of(results, protocol, TRIVIAL, runs=runs)
    assert {cell.row for cell in matrix.cells} == {"Ours"}


def test_two_records_of_one_training_are_refused(results, protocol):
    twin = results[results["row"] == "enc"].assign(run="twin")
    with pytest.raises(
        StoreError, match=r"enc: labelled subset 0, seed 0 has two records with different settings"
    ):
        matrix_of(pd.concat([results, twin]), protocol, TRIVIAL)


def test_nothing_recorded_is_an_empty_table(results, protocol):
    matrix = matrix_of(results.iloc[:0], protocol, TRIVIAL)
    assert matrix.cells == ()
    assert long_frame(matrix).empty
    filled = matrix_of(results.iloc[:0], protocol, TRIVIAL, runs=planned_runs(results))
    assert len(filled.cells) == 8


def test_a_cell_knows_its_budgets():
    cell = Cell("a", "a", "10", None, False)
    assert (cell.budget(Task.CLASSIFICATION), cell.budget(Task.SEGMENTATION)) == ("10", None)
    assert cell.budgets.text == "10/–"
    assert [cell.budgets.meets(Budgets(*pair)) for pair in (("10", "5"), ("20", "5"))] == [True, False]


def test_cells_are_compatible_unless_both_learn_a_task_from_other_budgets():
    whole, other = Cell("a", "a", "10", "5", False), Cell("b", "b", "20", "5", False)
    masks = Cell("c", "c", None, "5", False)
    assert not compatible(whole, other)
    assert compatible(whole, masks)
    assert compatible(masks, other)
