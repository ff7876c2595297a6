"""External numbers beside ours."""

from dataclasses import replace

import pytest

from mmbench.claims.yardsticks import Yardstick
from mmbench.protocol.domains import DatasetChoice, Sources, Target, Targets
from mmbench.protocol.vocabulary import Task
from mmbench.report.yardsticks import beside_yardsticks, yardsticks_frame

DICE = Yardstick(Task.SEGMENTATION, "dice", "shenzhen", "montgomery", "U-Net", 0.942, None, "fixed", "bob")
ANY = replace(DICE, metric="auroc", task=Task.CLASSIFICATION, trained_on="", tested_on="", high=0.98)

PAIR = replace(ANY, metric="accuracy", trained_on="kermany", tested_on="chestxray14", comparability="none")


@pytest.fixture
def real(analysis):
    """The made-up numbers, as if they were of real data sets."""
    sources = Sources(
        classification=DatasetChoice(dataset="kermany", name="paediatric_ap"),
        segmentation=DatasetChoice(dataset="shenzhen", name="adult_pa"),
    )
    targets = Targets(
        classification=[Target(dataset="chestxray14", name="hospital")],
        segmentation=[Target(dataset="montgomery", name="county")],
    )
    protocol = analysis.protocol.model_copy(update={"sources": sources, "targets": targets})
    return replace(analysis, protocol=protocol)


def test_ours_is_the_best_row_of_the_most_labels(real):
    (found,) = beside_yardsticks(real, [DICE])
    frame = real.estimates
    frame = frame[
        (frame["domain"] == "county")
        & (frame["metric"] == "dice")
        & (frame["budget_segmentation"] == "full")
        & ~frame["row"].isin(["majority", "positive", "prevalence", "mean_mask"])
    ]
    best = frame.loc[frame["estimate"].idxmax()]
    assert found.ours.estimate.value == best["estimate"]
    assert found.ours.cell.row == best["row"]
    (row,) = yardsticks_frame([found]).to_dict("records")
    assert (row["domain"], row["external"], row["how comparable"]) == ("county", "0.942", "fixed")
    assert row["row"].endswith(" at full/full")


def test_numbers_of_any_data_set_stand_beside_every_domain(real):
    found = beside_yardsticks(real, [ANY, PAIR])
    auroc = [one for one in found if one.yardstick is ANY]
    assert [one.ours.column.domain for one in auroc] == ["paediatric_ap", "hospital"]
    assert set(yardsticks_frame(auroc)["external"]) == {"0.942 to 0.98"}


def test_other_data_sets_and_the_phantom_have_none(real, analysis):
    assert beside_yardsticks(real, [replace(DICE, trained_on="jsrt")]) == []
    assert beside_yardsticks(real, [ANY]) == [], "no number is of kermany"
    assert beside_yardsticks(analysis, [DICE, ANY, PAIR]) == []


def test_numbers_of_other_classes_and_structures_do_not_stand_here(real):
    three = real.protocol.model_copy(
        update={"classes": ("normal", "bacteria", "virus"), "structures": ("lungs", "heart")}
    )
    assert beside_yardsticks(replace(real, protocol=three), [DICE, ANY, PAIR]) == []
