import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench.data.subsets import label_order, labeled_rows, unlabeled_rows
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task
from tests.data.data_layouts import make_dataset

C, S = Task.CLASSIFICATION, Task.SEGMENTATION


@given(st.integers(0, 200), st.integers(2, 40), st.integers(2, 40))
def test_every_prefix_is_stratified_to_less_than_one_case(subset, zeros, ones):
    dataset = make_dataset([0] * zeros + [1] * ones, size=2)
    order = label_order(dataset, C, seed=0, subset=subset)
    assert sorted(order) == list(range(zeros + ones))
    labels = dataset.cases["label"].to_numpy(dtype=int)[order]
    counts = np.cumsum(labels)
    expected = np.arange(1, len(order) + 1) * ones / (zeros + ones)
    assert np.abs(counts - expected).max() <= 1


def test_budgets_are_nested_within_a_subset_and_differ_between_subsets():
    dataset = make_dataset([0, 1] * 100, size=2)
    small, large = (set(labeled_rows(dataset, C, budget, seed=0, subset=1)) for budget in (10, 50))
    assert len(small) == 10
    assert small < large
    assert small != set(labeled_rows(dataset, C, 10, seed=0, subset=2))
    assert small != set(labeled_rows(dataset, C, 10, seed=1, subset=1))
    assert small == set(labeled_rows(dataset, C, 10, seed=0, subset=1))


def test_images_of_a_patient_follow_each_other_within_their_class():
    patients = [f"p{row // 3}" for row in range(60)]
    dataset = make_dataset([row // 3 % 2 for row in range(60)], patients=patients, size=2)
    order = label_order(dataset, C, seed=0, subset=0)
    labels = dataset.cases["label"].to_numpy(dtype=int)
    for label in (0, 1):
        sequence = [patients[row] for row in order if labels[row] == label]
        assert sequence == [patient for patient in dict.fromkeys(sequence) for _ in range(3)]


def test_only_the_training_part_is_drawn_from():
    parts = ["train", "test", "validation", "train"] * 10
    dataset = make_dataset([0, 1] * 20, parts=parts, size=2)
    assert {parts[row] for row in label_order(dataset, C, seed=0, subset=0)} == {"train"}


def test_the_rest_is_unlabelled_and_full_uses_everything_twice():
    labels = [0, 1] * 10 + [None] * 5
    dataset = make_dataset(labels, size=2)
    labeled, rest = (f(dataset, C, 6, seed=0, subset=0) for f in (labeled_rows, unlabeled_rows))
    assert sorted([*labeled, *rest]) == list(range(25))
    for budget in ("full", 20):
        np.testing.assert_array_equal(labeled_rows(dataset, C, budget, seed=0, subset=0), np.arange(20))
        np.testing.assert_array_equal(unlabeled_rows(dataset, C, budget, seed=0, subset=0), np.arange(25))


def test_masks_are_drawn_by_finding_and_independently_of_labels():
    dataset = make_dataset([0] * 30 + [1] * 30, masks=True, size=2)
    rows = labeled_rows(dataset, S, 10, seed=0, subset=0)
    assert (rows < 30).sum() == 5
    assert set(rows) != set(labeled_rows(dataset, C, 10, seed=0, subset=0))


def test_a_subset_does_not_depend_on_the_image_size():
    small, large = make_dataset(size=2), make_dataset(size=8, data_digest="another")
    np.testing.assert_array_equal(
        label_order(small, C, seed=0, subset=0), label_order(large, C, seed=0, subset=0)
    )


def test_impossible_budgets_say_what_to_do():
    dataset = make_dataset([0, 1] * 5, size=2)
    with pytest.raises(DataError, match="classification 11 is more than the 10 training cases of toy"):
        labeled_rows(dataset, C, 11, seed=0, subset=0)
    with pytest.raises(DataError, match="toy: has no training cases with masks"):
        labeled_rows(dataset, S, 1, seed=0, subset=0)
