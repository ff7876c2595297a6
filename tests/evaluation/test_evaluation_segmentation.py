"""Overlap scores, SSIM and the rules for empty masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmbench.evaluation.segmentation import overlap_scores, segmentation_scores
from mmbench.evaluation.similarity import ssim
from mmbench.protocol.schema import MetricPolicy

POLICY = MetricPolicy()
mask_pairs = st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def reference_ssim(one, other, **options):
    from skimage.metrics import structural_similarity

    return structural_similarity(one.astype(float), other.astype(float), data_range=1.0, **options)


def random_mask(seed, shape, share):
    return np.random.default_rng(seed).random(shape) < share


def test_overlaps_by_hand():
    prediction, truth = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    prediction[0:4, 0:4] = True  # 16 pixels
    truth[2:4, 0:6] = True  # 12 pixels, 8 of them shared
    scores = segmentation_scores(prediction, truth, POLICY)
    assert scores["dice"] == 16 / 28
    assert scores["jaccard"] == 8 / 20
    assert scores["precision"] == 8 / 16
    assert scores["recall"] == 8 / 12
    assert scores["empty_prediction"] is False
    assert scores["empty_truth"] is False


def test_both_empty_agree_perfectly():
    empty = np.zeros((16, 16), bool)
    assert segmentation_scores(empty, empty, POLICY) == {
        "dice": 1.0, "jaccard": 1.0, "precision": 1.0, "recall": 1.0,
        "hausdorff": 0.0, "hd95": 0.0, "assd": 0.0, "nsd": 1.0, "ssim": 1.0,
        "empty_prediction": True, "empty_truth": True,
    }  # fmt: skip


@pytest.mark.parametrize("empty", ["prediction", "truth"])
def test_one_empty_overlaps_nowhere(empty):
    nothing, one_pixel = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    one_pixel[3, 4] = True
    masks = (nothing, one_pixel) if empty == "prediction" else (one_pixel, nothing)
    scores = segmentation_scores(*masks, POLICY)
    assert [scores[name] for name in ("dice", "jaccard", "precision", "recall", "nsd")] == [0.0] * 5
    assert scores["hausdorff"] == scores["hd95"] == scores["assd"] == np.hypot(16, 16)
    assert scores["ssim"] == pytest.approx(reference_ssim(*masks), abs=1e-12)
    assert scores["empty_prediction"] is (empty == "prediction")
    assert scores["empty_truth"] is (empty == "truth")


def test_full_masks_agree_perfectly():
    full = np.ones((20, 20), bool)
    scores = segmentation_scores(full, full, POLICY)
    assert scores["dice"] == scores["jaccard"] == scores["nsd"] == 1.0
    assert scores["ssim"] == pytest.approx(1.0, abs=1e-12)
    assert scores["hausdorff"] == 0.0


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        (np.zeros((4, 4)), np.zeros((4, 4), bool), "prediction is a float64"),
        (np.zeros((4, 4), bool), np.zeros((1, 4, 4), bool), "truth is a bool array of shape"),
        (np.zeros((4, 4), bool), np.zeros((4, 5), bool), "shape"),
    ],
)
def test_masks_of_another_kind_are_refused(prediction, truth, words):
    with pytest.raises(ValueError, match=words):
        segmentation_scores(prediction, truth, POLICY)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_dice_lies_between_jaccard_and_its_transform(both, only_prediction, only_truth):
    scores = overlap_scores(both, both + only_prediction, both + only_truth)
    jaccard = scores["jaccard"]
    assert jaccard <= scores["dice"] <= 2 * jaccard / (1 + jaccard) + 1e-12
    assert min(scores["precision"], scores["recall"]) - 1e-12 <= scores["dice"]
    assert scores["dice"] <= max(scores["precision"], scores["recall"]) + 1e-12


@given(mask_pairs)
@settings(max_examples=100)
def test_overlaps_agree_with_scikit_learn(pair):
    from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

    prediction, truth = (mask.ravel() for mask in pair)
    if prediction.any() or truth.any():
        scores = segmentation_scores(pair[0], pair[1], POLICY)
        for name, reference in (
            ("dice", f1_score), ("jaccard", jaccard_score),
            ("precision", precision_score), ("recall", recall_score),
        ):  # fmt: skip
            assert scores[name] == pytest.approx(reference(truth, prediction, zero_division=0), abs=1e-12)


@given(mask_pairs)
def test_swapping_the_masks_swaps_precision_and_recall(pair):
    first, second = pair
    one, other = segmentation_scores(first, second, POLICY), segmentation_scores(second, first, POLICY)
    assert one["dice"] == other["dice"]
    assert one["jaccard"] == other["jaccard"]
    assert one["precision"] == other["recall"]
    assert one["ssim"] == pytest.approx(other["ssim"], abs=1e-12)


@given(mask_pairs)
def test_flips_change_no_score(pair):
    first, second = pair
    scores = segmentation_scores(first, second, POLICY)
    for axis in (0, 1):
        flipped = segmentation_scores(np.flip(first, axis), np.flip(second, axis), POLICY)
        assert flipped == pytest.approx(scores, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("shape", [(7, 7), (16, 9), (64, 64), (50, 33)])
def test_ssim_agrees_with_scikit_image(shape, share):
    for seed in range(3):
        one, other = random_mask(seed, shape, share), random_mask(seed + 50, shape, share)
        assert ssim(one, other) == pytest.approx(reference_ssim(one, other), abs=1e-12)


@pytest.mark.parametrize("corner", [(slice(0, 9), slice(0, 5)), (slice(30, 64), slice(50, 64))])
def test_ssim_of_masks_at_the_border_agrees_with_scikit_image(corner):
    one, other = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    one[corner] = True
    other[corner[0], 2:60] = True
    assert ssim(one, other) == pytest.approx(reference_ssim(one, other), abs=1e-12)


@pytest.mark.parametrize(("side", "window"), [(6, 5), (5, 5), (4, 3), (3, 3)])
def test_ssim_of_a_small_image_shrinks_its_window(side, window):
    one, other = random_mask(1, (side, side), 0.5), random_mask(2, (side, side), 0.5)
    assert ssim(one, other) == pytest.approx(reference_ssim(one, other, win_size=window), abs=1e-12)


def test_ssim_of_single_pixels_compares_their_values():
    dark, bright = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    assert ssim(bright, bright) == pytest.approx(1.0)
    assert ssim(dark, bright) == pytest.approx(0.01**2 / (1 + 0.01**2))


@given(mask_pairs)
def test_ssim_is_bounded_and_one_for_equals(pair):
    assert -1 <= ssim(*pair) <= 1 + 1e-12
    assert ssim(pair[0], pair[0]) == pytest.approx(1.0, abs=1e-12)
