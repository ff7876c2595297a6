"""Masks at a threshold: made when predicting or from stored whole numbers, they are the same."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.errors import StoreError
from mmbench.protocol.schema import MetricPolicy
from mmbench.store.masks import (
    array_digest,
    at_threshold,
    mask_arrays,
    pack,
    predicted_masks,
    quantise,
    true_masks,
    unpack,
)
from mmbench.store.missing import mask_content, scored_content
from tests.store.made_records import make_run, put_scores, specs_of

probabilities = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).map(
    lambda values: np.array(values, dtype=np.float32)
)


@settings(max_examples=300, deadline=None)
@given(probabilities, st.floats(0, 1))
def test_sixteen_bits_give_the_same_mask_at_any_threshold(found, threshold):
    expected = at_threshold(found, threshold)
    np.testing.assert_array_equal(at_threshold(quantise(found, 16), threshold), expected)


@settings(max_examples=300, deadline=None)
@given(probabilities, st.integers(0, 255))
def test_eight_bits_give_the_same_mask_at_their_own_levels(found, level):
    expected = at_threshold(found, level / 256)
    np.testing.assert_array_equal(at_threshold(quantise(found, 8), level / 256), expected)
    np.testing.assert_array_equal(expected, found.astype(float) >= level / 256)


@settings(max_examples=300, deadline=None)
@given(probabilities, st.floats(0, 1))
def test_a_threshold_is_rounded_up_to_sixteen_bits_and_no_further(found, threshold):
    mask, exact = at_threshold(found, threshold), found.astype(float) >= threshold
    near = np.abs(found.astype(float) - threshold) <= 2 / 65536
    np.testing.assert_array_equal(mask[~near], exact[~near])


def test_halves_are_exact():
    values = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0, 1], dtype=np.float32)
    assert at_threshold(values, 0.5).tolist() == [True, False, False, True]
    assert at_threshold(values, 1.0).tolist() == [False, False, False, True]
    assert at_threshold(values, 0.0).all()


@pytest.mark.parametrize("side", [1, 3, 8, 21])
def test_masks_are_packed_case_by_case(side):
    masks = np.random.default_rng(side).random((5, 1, side, side)) > 0.5
    bits = pack(masks)
    assert bits.shape == (5, math.ceil(side**2 / 8))
    np.testing.assert_array_equal(unpack(bits, side), masks)
    several = np.random.default_rng(side).random((5, 3, side, side)) > 0.5
    np.testing.assert_array_equal(unpack(pack(several), side, 3), several)


def test_a_digest_tells_type_shape_and_values():
    array = np.arange(6, dtype=np.uint8)
    others = (array.reshape(2, 3), array.astype(np.uint16), array[::-1])
    assert len({array_digest(one) for one in (array, *others)}) == 4
    assert array_digest(array[::-1][::-1]) == array_digest(array)


def test_arrays_are_named_by_threshold():
    found = mask_arrays(np.zeros((2, 1, 4, 4), dtype=np.float32), [0.3, 0.5], 16)
    assert set(found) == {"mask 0.3", "mask 0.5", "probabilities"}
    assert mask_content(1 / 3) == f"mask {1 / 3!r}"


@pytest.mark.parametrize(
    ("threshold", "bits", "expected"),
    [
        (0.5, 0, "mask 0.5"),
        (0.5, 16, "mask 0.5"),
        (0.3, 0, None),
        (0.3, 8, None),
        (0.25, 8, "probabilities"),
        (1.0, 8, None),
        (0.3, 16, "probabilities"),
    ],
)
def test_what_is_scored_depends_on_what_is_stored(threshold, bits, expected):
    (spec, *_) = specs_of(
        make_run(budgets={"segmentation": 5}), policy=MetricPolicy(mask_threshold=threshold)
    )
    stored = {"contents": {"mask 0.5": "", **({"probabilities": ""} if bits else {})}}
    assert scored_content({**stored, "probability_bits": bits}, spec) == expected


def test_masks_are_read_back(store):
    run = make_run(budgets={"segmentation": 5})
    spec = specs_of(run)[0]
    random = np.random.default_rng(0)
    masks, truth = random.random((4, 64, 64), dtype=np.float32), random.random((4, 64, 64)) > 0.5
    put_scores(store, spec, masks=masks, truth=truth)
    np.testing.assert_array_equal(predicted_masks(store, spec)[:, 0], masks >= 0.5)
    np.testing.assert_array_equal(true_masks(store, spec.predictions)[:, 0], truth)
    other = specs_of(run, policy=MetricPolicy(mask_threshold=0.3))[0]
    np.testing.assert_array_equal(predicted_masks(store, other)[:, 0], at_threshold(masks, 0.3))


def test_masks_that_are_not_there_are_named(store):
    run = make_run(budgets={"segmentation": 5})
    put_scores(store, specs_of(run)[0])
    other = specs_of(run, policy=MetricPolicy(mask_threshold=0.3))[0]
    with pytest.raises(StoreError, match=r"holds no masks at the threshold 0.3; make them with: mmbench run"):
        predicted_masks(store, other)
