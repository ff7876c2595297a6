import math
import statistics

import numpy as np
import pandas as pd
import pytest

from mmbench.errors import StoreError
from mmbench.protocol.runs import DomainDigest, RunSpec
from mmbench.protocol.schema import Backbone, MetricPolicy, Selection, Training
from mmbench.report.main_table import LONG_COLUMNS, Column, main_table
from mmbench.store.frames import SUMMARY_COLUMNS

FLOORS = ("positive", "mean_mask")


def find(table, row, classification=None, segmentation=None):
    return next(
        line
        for line in table.lines
        if (line.row, line.classification, line.segmentation) == (row, classification, segmentation)
    )


def planned_cells(results) -> list[RunSpec]:
    """Runs for the fixture's rows; their ids replace the fixture's names in ``results``."""
    found = []
    for run in results.drop_duplicates("run").to_dict("records"):
        budgets = {
            task: run[f"budget_{task}"]
            for task in ("classification", "segmentation")
            if pd.notna(run[f"budget_{task}"])
        }
        digest = DomainDigest(domain="a", data="b", split="c")
        found.append(
            RunSpec(
                label=run["row"],
                method=run["method"],
                hyperparameters={},
                budgets={
                    task: budget if budget == "full" else int(budget) for task, budget in budgets.items()
                },
                subset=run["subset"],
                seed=run["seed"],
                protocol_seed=0,
                backbone=Backbone(),
                image_size=64,
                training=Training(),
                selection=Selection(),
                evaluation=MetricPolicy(),
                sources=dict.fromkeys(budgets, digest),
                targets={task: [digest] for task in budgets},
            )
        )
    names = dict(zip(results["run"].drop_duplicates(), (run.id for run in found), strict=True))
    results["run"] = results["run"].map(names)
    return found


def test_rows_are_grouped_by_model_then_budgets_with_floors_last(results, protocol):
    table = main_table(results.sample(frac=1, random_state=0), protocol, FLOORS)
    assert [(line.row, line.classification, line.segmentation) for line in table.lines] == [
        ("unet", None, "10"),
        ("enc", "100", None),
        ("enc", "full", None),
        ("MultiMix", "100", "10"),
        ("MultiMix", "full", "10"),
        ("positive", "100", None),
        ("positive", "full", None),
        ("mean_mask", None, "10"),
    ]
    assert [line.trivial for line in table.lines] == [False] * 5 + [True] * 3


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
    table = main_table(pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)), protocol, ())
    assert [line.classification for line in table.lines] == ["20", "100", "1000", "full"]


def test_columns_are_in_domain_then_cross_domain(results, protocol):
    table = main_table(results, protocol, FLOORS)
    assert [(column.scope, column.domain, column.heading) for column in table.columns] == [
        (scope, domain, heading)
        for scope, domain, headings in (
            ("in-domain", "kermany", ("Acc", "F1-N", "F1-P")),
            ("in-domain", "jsrt", ("DS", "HD", "SSIM")),
            ("cross-domain", "nih", ("Acc", "F1-N", "F1-P")),
            ("cross-domain", "montgomery", ("DS", "HD", "SSIM")),
        )
        for heading in headings
    ]


def test_numbers_are_means_and_deviations_over_trainings(results, protocol):
    table = main_table(results, protocol, FLOORS)
    value = table.results[
        find(table, "MultiMix", "full", "10"), Column(True, "kermany", "classification", "accuracy")
    ]
    runs = [0.5 + 2 / 32 + 1 / 8 + 1 / 128, 0.5 + 2 / 32 + 1 / 8 + 1 / 128 + 1 / 64]
    assert value.mean == pytest.approx(statistics.mean(runs))
    assert value.sd == pytest.approx(statistics.stdev(runs))
    assert value.n == 2
    trivial = table.results[
        find(table, "positive", "full"), Column(False, "nih", "classification", "f1_pneumonia")
    ]
    assert trivial.mean == pytest.approx(0.5 + 3 / 32)
    assert math.isnan(trivial.sd)


def test_undefined_values_are_left_out_and_told(results, protocol):
    chosen = (results["row"] == "enc") & (results["seed"] == 0) & (results["metric"] == "f1_normal")
    results.loc[chosen & (results["domain"] == "nih"), "value"] = np.nan
    table = main_table(results, protocol, FLOORS)
    value = table.results[find(table, "enc", "100"), Column(False, "nih", "classification", "f1_normal")]
    assert value.n == 1
    assert value.mean == pytest.approx(0.5 + 1 / 32 + 1 / 64)
    assert "Left out of means because undefined: F1-N on nih in 2 trainings." in table.captions


def test_the_long_frame_holds_every_metric_unrounded(results, protocol):
    long = main_table(results, protocol, FLOORS).long
    assert tuple(long.columns) == LONG_COLUMNS
    assert len(long) == len(results.drop_duplicates(["row", "budget_classification", "domain", "metric"]))
    chosen = long[(long["row"] == "unet") & (long["domain"] == "jsrt") & (long["metric"] == "hausdorff")]
    assert chosen["mean"].item() == pytest.approx(16 * (1 - 0.625 - 1 / 128))
    assert {"auroc", "empty_prediction"} <= set(long["metric"])


def test_missing_and_failed_cells_are_counted(results, protocol):
    runs = planned_cells(results)
    gone = [run for run in runs if run.label == "unet"] + [runs[-1]]
    kept = results[~results["run"].isin([run.id for run in gone])]
    table = main_table(kept, protocol, FLOORS, runs=runs, failed=[gone[0].id, "other"])
    sentence = (
        f"3 of {len(runs)} runs missing (1 failed): … stands for rows without any, n tells what is there."
    )
    assert sentence in table.captions
    assert table.trainings[find(table, "unet", None, "10")] == (0, 2)
    assert find(table, "mean_mask", None, "10") in table.lines


def test_records_that_the_plan_does_not_name_are_left_out(results, protocol):
    runs = [run for run in planned_cells(results) if run.label != "enc"]
    table = main_table(results, protocol, FLOORS, runs=runs)
    assert "enc" not in {line.row for line in table.lines}
    assert not any("missing" in sentence for sentence in table.captions)


def test_the_plans_labels_count(results, protocol):
    runs = [
        run.model_copy(update={"label": "Ours"}) for run in planned_cells(results) if run.method == "multimix"
    ]
    table = main_table(results, protocol, FLOORS, runs=runs)
    assert {line.row for line in table.lines} == {"Ours"}


def test_two_records_of_one_training_are_refused(results, protocol):
    twin = results[results["row"] == "enc"].assign(run="twin")
    with pytest.raises(StoreError, match=r"enc: draw 0, seed 0 has two records with different settings"):
        main_table(pd.concat([results, twin]), protocol, FLOORS)


def test_nothing_recorded_is_an_empty_table(results, protocol):
    table = main_table(results.iloc[:0], protocol, FLOORS)
    assert table.lines == []
    assert table.long.empty
    filled = main_table(results.iloc[:0], protocol, FLOORS, runs=planned_cells(results))
    assert len(filled.lines) == 8


def test_captions_say_what_the_numbers_are(results, protocol):
    captions = "\n".join(main_table(results, protocol, FLOORS).captions)
    for sentence in (
        "± is the standard deviation over trainings: 2 seeds x 1 labelled subset (not over cases)",
        "Cases: classification kermany 624, nih 4185; segmentation jsrt 123, montgomery 35.",
        "Warning: fewer than 50 cases, so wide uncertainty: montgomery (35, segmentation).",
        "Empty predicted masks, which bear on every distance, over all trainings: unet –/10 on montgomery 3 "
        "of 70.",
        "pneumonia from probability 0.5; mask pixels from probability 0.5",
        "distances in pixels of 256 x 256 images",
        "a distance when exactly one mask is empty is the image's diagonal",
        "Selection rule last: the weights after step 500 are evaluated.",
        "lower is better for HD",
    ):
        assert sentence in captions


def test_captions_follow_the_protocol(results, protocol):
    changed = protocol.model_copy(
        update={
            "seeds": 1,
            "selection": Selection(rule="oracle", every=50),
            "evaluation": MetricPolicy(spacing=0.5, empty_distance="nan"),
        }
    )
    captions = "\n".join(main_table(results[results["seed"] == 0], changed, FLOORS).captions)
    assert "One training per row (1 seed, 1 labelled subset): no spread can be shown." in captions
    assert (
        "best on the targets themselves, looked at every 50 steps; an upper bound, not a result" in captions
    )
    assert "distances at a spacing of 0.5 per pixel of 256 x 256 images" in captions
    assert "exactly one mask is empty is undefined" in captions
