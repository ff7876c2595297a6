"""Surface distances against MONAI, brute force and hand-computed examples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmbench.evaluation.distances import directed_distances, surface, surface_scores
from mmbench.protocol.schema import MetricPolicy
from tests.evaluation.by_monai import monai_scores

POLICY = MetricPolicy()
small_masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
mask_pairs = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def disc(side, row, column, radius):
    rows, columns = np.mgrid[:side, :side]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def blobs(seed, side=64):
    """Return a smoothed random mask that often touches the border."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 4, mode="wrap")
    return field > np.quantile(field, 0.7)


def brute_surface(mask):
    padded = np.pad(mask, 1)
    found = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        r, c = row + 1, column + 1
        neighbours = padded[r - 1, c], padded[r + 1, c], padded[r, c - 1], padded[r, c + 1]
        found[row, column] = not all(neighbours)
    return found


def brute_distances(one, other):
    a, b = np.argwhere(brute_surface(one)), np.argwhere(brute_surface(other))
    every = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return every.min(1), every.min(0)


NAMED = {
    "discs": (disc(64, 30, 30, 12), disc(64, 33, 34, 10)),
    "apart": (disc(64, 8, 8, 5), disc(64, 54, 50, 7)),
    "inside": (disc(64, 32, 32, 25), disc(64, 32, 32, 4)),
    "same": (disc(64, 32, 32, 9), disc(64, 32, 32, 9)),
    "touching the border": (disc(64, 0, 20, 12), disc(64, 3, 63, 15)),
    "one pixel": (disc(64, 0, 0, 0), disc(64, 40, 63, 0)),
    "full": (np.ones((64, 64), bool), disc(64, 30, 30, 12)),
    "both full": (np.ones((64, 64), bool), np.ones((64, 64), bool)),
    "not square": (blobs(1)[:20], blobs(2)[:20]),
}


@pytest.mark.parametrize("policy", [POLICY, MetricPolicy(spacing=0.7, nsd_tolerance=1.2)], ids=["px", "mm"])
@pytest.mark.parametrize("name", NAMED)
def test_scores_agree_with_monai(name, policy):
    prediction, truth = NAMED[name]
    found, expected = surface_scores(prediction, truth, policy), monai_scores(prediction, truth, policy)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_scores_of_random_blobs_agree_with_monai(seed):
    prediction, truth = blobs(seed), blobs(seed + 100)
    expected = monai_scores(prediction, truth, POLICY)
    assert surface_scores(prediction, truth, POLICY) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(small_masks)
def test_surface_is_the_mask_minus_its_erosion(mask):
    from scipy.ndimage import binary_erosion

    np.testing.assert_array_equal(surface(mask), brute_surface(mask))
    np.testing.assert_array_equal(surface(mask), mask & ~binary_erosion(mask))


@given(mask_pairs)
def test_distances_agree_with_brute_force(pair):
    one, other = pair
    if one.any() and other.any():
        for found, expected in zip(directed_distances(one, other), brute_distances(one, other), strict=True):
            np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-14)


def test_two_pixels_by_hand():
    one, other = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    one[1, 1] = other[4, 5] = True
    assert surface_scores(one, other, MetricPolicy(nsd_tolerance=5)) == {
        "hausdorff": 5.0, "hd95": 5.0, "assd": 5.0, "nsd": 1.0,
    }  # fmt: skip
    assert surface_scores(one, other, MetricPolicy(nsd_tolerance=4.99))["nsd"] == 0.0


def test_shifted_squares_by_hand():
    truth, prediction = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[2:6, 2:6] = True
    prediction[2:6, 3:7] = True
    # Of each surface's 12 pixels, 6 lie on the other's; the 6 others are 1 pixel away.
    scores = surface_scores(prediction, truth, MetricPolicy(nsd_tolerance=0))
    assert scores == {"hausdorff": 1.0, "hd95": 1.0, "assd": 0.5, "nsd": 0.5}


def test_percentile_interpolates_as_numpy():
    prediction, truth = NAMED["discs"]
    there, back = brute_distances(prediction, truth)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert surface_scores(prediction, truth, POLICY)["hd95"] == pytest.approx(expected, rel=1e-14)


def test_tolerance_includes_a_distance_equal_to_it_in_any_unit():
    one, other = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    one[2, 2] = other[2, 5] = True
    # 0.3 / 0.1 is a little below 3 in binary.
    assert surface_scores(one, other, MetricPolicy(spacing=0.1, nsd_tolerance=0.3))["nsd"] == 1.0


def test_distances_scale_with_the_spacing():
    prediction, truth = NAMED["apart"]
    pixels = surface_scores(prediction, truth, POLICY)
    scaled = surface_scores(prediction, truth, MetricPolicy(spacing=2.5, nsd_tolerance=5))
    for name in ("hausdorff", "hd95", "assd"):
        assert scaled[name] == pytest.approx(2.5 * pixels[name])
    assert scaled["nsd"] == pixels["nsd"]


def test_both_empty_agree_perfectly():
    empty = np.zeros((8, 6), bool)
    assert surface_scores(empty, empty, POLICY) == {"hausdorff": 0.0, "hd95": 0.0, "assd": 0.0, "nsd": 1.0}


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_costs_the_diagonal(swap):
    masks = np.zeros((30, 40), bool), np.ones((30, 40), bool)
    scores = surface_scores(*(masks[::-1] if swap else masks), MetricPolicy(spacing=2))
    assert scores == {"hausdorff": 100.0, "hd95": 100.0, "assd": 100.0, "nsd": 0.0}


def test_one_empty_is_undefined_on_demand():
    scores = surface_scores(np.zeros((8, 8), bool), np.eye(8, dtype=bool), MetricPolicy(empty_distance="nan"))
    assert all(math.isnan(scores[name]) for name in ("hausdorff", "hd95", "assd"))
    assert scores["nsd"] == 0.0


@given(mask_pairs)
@settings(max_examples=200)
def test_no_distance_exceeds_that_of_predicting_nothing(pair):
    one, other = pair
    scores = surface_scores(one, other, POLICY)
    assert 0 <= scores["assd"] <= scores["hausdorff"] + 1e-12
    assert scores["hd95"] <= scores["hausdorff"] <= math.hypot(*one.shape)
    assert 0 <= scores["nsd"] <= 1


@given(mask_pairs)
def test_scores_are_symmetric_and_follow_the_image(pair):
    one, other = pair
    scores = surface_scores(one, other, POLICY)
    same = pytest.approx(scores, rel=1e-12)
    assert surface_scores(other, one, POLICY) == same
    assert surface_scores(one[:, ::-1], other[:, ::-1], POLICY) == same
    assert surface_scores(one[::-1], other[::-1], POLICY) == same
    assert surface_scores(one.T.copy(), other.T.copy(), POLICY) == same


@given(mask_pairs, st.integers(0, 5), st.integers(0, 5))
def test_scores_do_not_change_under_translation(pair, down, right):
    frame = [(1, 6), (1, 6)]
    one, other = (np.pad(mask, frame) for mask in pair)
    if one.any() and other.any():
        moved = surface_scores(
            np.roll(one, (down, right), (0, 1)), np.roll(other, (down, right), (0, 1)), POLICY
        )
        assert moved == pytest.approx(surface_scores(one, other, POLICY), rel=1e-12)
