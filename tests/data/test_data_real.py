"""The readers, parts and leak gate on the real copies."""

import numpy as np
import pytest

from mmbench.data.catalogue import load_dataset
from mmbench.data.fingerprints import identical_pairs, near_pairs
from mmbench.data.leaks import check_leaks, protocol_parts
from mmbench.data.subsets import labeled_rows
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import Task

pytestmark = pytest.mark.realdata
C, S = Task.CLASSIFICATION, Task.SEGMENTATION


@pytest.fixture
def load(real_data, cache):
    def load(name, **changes):
        choice = DatasetChoice(dataset=name, **changes)
        return load_dataset(choice, image_size=64, seed=0, data_root=real_data)

    return load


def official(dataset):
    return dataset.cases["case_id"].str.split("/").str[0]


@pytest.mark.slow
def test_kermany_counts_and_patients(load):
    cases = load("kermany").cases
    parts = official(load("kermany"))
    assert parts.value_counts().to_dict() == {"train": 5216, "test": 624}
    assert cases.groupby([parts, "label"]).size().to_dict() == {
        ("test", 0): 234, ("test", 1): 390, ("train", 0): 1341, ("train", 1): 3875,
    }  # fmt: skip
    people = cases[(parts == "train") & (cases["label"] == 1)]
    assert people["patient_id"].nunique() == 1635
    assert cases["part"].value_counts().to_dict() == {"train": 4694, "validation": 522, "test": 624}
    assert any("170 of 202 personN ids" in note for note in load("kermany").notes)


@pytest.mark.slow
def test_kermany_identical_images(load):
    dataset = load("kermany")
    _, group, counts = np.unique(dataset.prints.pixels, axis=0, return_inverse=True, return_counts=True)
    several = counts[counts > 1]
    assert (len(several), several.sum()) == (30, 62)
    parts = official(dataset).to_numpy()
    for index in np.flatnonzero(counts > 1):
        assert len(set(parts[group.ravel() == index])) == 1
    pairs = identical_pairs(dataset.prints, dataset.prints)
    assert ((pairs[:, 0] < pairs[:, 1]).sum()) == 34
    assert len(near_pairs(dataset.prints, dataset.prints)) == 0


@pytest.mark.slow
def test_kermany_parts_share_no_group_and_keep_the_classes(load):
    cases = load("kermany").cases
    drawn = cases[cases["part"] != "test"]
    assert (drawn.groupby("group")["part"].nunique() == 1).all()
    shares = cases.groupby("part")["label"].mean()
    assert abs(shares["train"] - shares["validation"]) < 0.01


def test_segmentation_sets(load):
    shenzhen, county = load("shenzhen"), load("montgomery")
    assert len(shenzhen.rows(None, S)) == 566
    assert len(county.rows(None, S)) == 138
    assert county.cases["part"].value_counts().to_dict() == {"train": 93, "test": 35, "validation": 10}
    coverage = county.masks.mean(axis=(1, 2, 3))
    assert coverage.mean() == pytest.approx(0.257, abs=0.004)
    assert (coverage.min(), coverage.max()) == pytest.approx((0.100, 0.400), abs=0.005)
    assert county.cases["finding"].value_counts().to_dict() == {"normal": 80, "tuberculosis": 58}
    assert shenzhen.cases["finding"].value_counts().to_dict() == {"tuberculosis": 287, "normal": 279}


def test_nih_subset(load):
    dataset = load("chestxray14")
    assert dataset.cases["label"].value_counts().to_dict() == {0: 200, 1: 200}
    assert dataset.cases["patient_id"].nunique() == 400
    assert len(load("chestxray14", one_per_patient=True).cases) == 400
    assert load("chestxray14", cases=100).cases["label"].sum() == 50


@pytest.mark.slow
def test_the_real_protocol_has_no_leak(load):
    parts = protocol_parts(
        {C: load("kermany"), S: load("shenzhen")},
        {C: [(load("chestxray14"), "all")], S: [(load("montgomery"), "all")]},
    )
    report = check_leaks(parts)
    assert len(report.overlaps) == 28
    assert all(count == 0 for overlap in report.overlaps for count in overlap.counts.values())


def test_subsets_on_the_real_sets_are_nested_and_stratified(load):
    dataset = load("shenzhen")
    rows = [set(labeled_rows(dataset, S, budget, seed=0, subset=0)) for budget in (10, 50, "full")]
    assert rows[0] < rows[1] < rows[2]
    findings = dataset.cases["finding"].iloc[sorted(rows[0])].value_counts()
    assert findings.to_dict() == {"normal": 5, "tuberculosis": 5}
