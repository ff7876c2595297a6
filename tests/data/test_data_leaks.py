import json

import numpy as np
import pytest
from PIL import Image

from mmbench.data.leaks import check_leaks, find_leaks, protocol_parts
from mmbench.errors import LeakError
from mmbench.protocol.vocabulary import Task
from tests.data.data_layouts import make_dataset, picture

C, S = Task.CLASSIFICATION, Task.SEGMENTATION
PARTS = ["train"] * 12 + ["validation"] * 3 + ["test"] * 5


def images(seeds, side=64):
    return np.stack([picture(seed, side) for seed in seeds])


def source(**changes):
    return make_dataset([0, 1] * 10, parts=PARTS, images=images(range(20)), **{"name": "source", **changes})


def target(seeds=range(100, 106), name="target", **changes):
    return make_dataset([0, 1] * 3, parts=["test"] * 6, images=images(seeds), name=name, **changes)


def counts(report, one, other):
    return next(o.counts for o in report.overlaps if set(o.parts) == {one, other})


def test_clean_data_pass_with_every_pair_counted():
    report = check_leaks(protocol_parts({C: source()}, {C: [(target(), "all")]}))
    assert len(report.overlaps) == 6
    assert all(count == 0 for overlap in report.overlaps for count in overlap.counts.values())
    assert report.leaks == []
    assert report.notes() == []


def test_shared_patients_stop_the_run_and_name_the_remedy():
    patients = [f"p{row}" for row in range(20)]
    patients[17] = "p2"
    parts = protocol_parts({C: source(patients=patients)}, {})
    with pytest.raises(LeakError) as error:
        check_leaks(parts)
    message = str(error.value)
    assert "source:train and source:test share 1 patient (c2 = c17)" in message
    assert "acknowledged_leaks: [[source:train, source:test]]" in message
    assert "\n" not in message


def test_acknowledged_leaks_are_counted_and_reported():
    patients = ["same" if row in (0, 16) else f"p{row}" for row in range(20)]
    parts = protocol_parts({C: source(patients=patients)}, {})
    report = check_leaks(parts, [["source:test", "source:train"]])
    assert counts(report, "source:train", "source:test") == {"patient": 1, "identical": 0, "near": 0}
    assert report.notes() == ["leak (acknowledged): source:train and source:test share 1 patient (c0 = c16)"]
    with pytest.raises(LeakError, match="no part is called 'sauce:test'"):
        check_leaks(parts, [["source:train", "sauce:test"]])


def test_identical_and_near_images_are_found_across_domains():
    shown = images([0, 5, 101, 102, 103, 104])
    half = Image.fromarray(shown[1]).resize((40, 40), Image.Resampling.BICUBIC)
    shown[1] = np.asarray(half.resize((64, 64), Image.Resampling.BICUBIC))
    foreign = make_dataset([0, 1] * 3, parts=["test"] * 6, images=shown, name="target")
    report = find_leaks(protocol_parts({C: source()}, {C: [(foreign, "all")]}))
    assert counts(report, "source:train", "target:all") == {"patient": 0, "identical": 1, "near": 1}
    overlap = next(o for o in report.overlaps if o.parts == ("source:train", "target:all"))
    assert overlap.examples == {"identical": [["c0", "c0"]], "near": [["c5", "c1"]]}
    with pytest.raises(LeakError, match="1 pair of identical images, 1 pair of near duplicates"):
        check_leaks(protocol_parts({C: source()}, {C: [(foreign, "all")]}))


def test_patient_ids_of_different_datasets_are_not_compared():
    other = target(patients=[f"p{row}" for row in range(6)])
    assert check_leaks(protocol_parts({C: source()}, {C: [(other, "all")]})).leaks == []
    same = target(patients=[f"p{row}" for row in range(6)], namespace="source")
    with pytest.raises(LeakError, match="6 patients"):
        check_leaks(protocol_parts({C: source()}, {C: [(same, "all")]}))


def test_two_training_parts_or_two_targets_may_share_images():
    one, other = source(), source(name="second", masks=True)
    report = find_leaks(protocol_parts({C: one, S: other}, {}))
    assert counts(report, "source:train", "second:train")["identical"] == 12
    assert counts(report, "source:test", "second:test")["identical"] == 5
    assert report.leaks == []


def test_a_source_as_all_of_a_target_is_a_leak_but_its_test_part_is_not():
    whole = source()
    assert check_leaks(protocol_parts({C: whole}, {C: [(whole, "test")]})).leaks == []
    with pytest.raises(LeakError, match="source:train and source:all share 12 patients, 12 pairs of"):
        check_leaks(protocol_parts({C: whole}, {C: [(whole, "all")]}))


def test_unlabelled_training_cases_count_as_seen():
    labels = [None] + [0, 1] * 9 + [0]
    unlabelled = make_dataset(labels, parts=PARTS, images=images(range(20)), name="source")
    with pytest.raises(LeakError, match="1 pair of identical"):
        check_leaks(protocol_parts({C: unlabelled}, {C: [(target([0, 101, 102, 103, 104, 105]), "all")]}))


def test_a_dataset_in_two_roles_is_compared_once():
    both = source(masks=True)
    parts = protocol_parts({C: both, S: both}, {})
    assert [part.name for part in parts] == ["source:train", "source:validation", "source:test"]


def test_the_report_is_json():
    report = find_leaks(protocol_parts({C: source()}, {C: [(target(range(6)), "all")]}))
    (overlap,) = json.loads(json.dumps(report.to_json()))["overlaps"][4:5]
    assert overlap["parts"] == list(report.overlaps[4].parts)
    assert overlap["counts"] == report.overlaps[4].counts
