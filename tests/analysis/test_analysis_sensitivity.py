"""Other metric policies from stored masks and probabilities."""

import numpy as np
import pytest

from mmbench.analysis.analysis import analyse
from mmbench.analysis.results import read_results
from mmbench.analysis.sensitivity import NOT_KEPT, sensitivity
from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy
from mmbench.store.frames import load_scores
from tests.analysis.made_up import write_results

SIZE = 64


def squares(cases):
    """Return made-up probabilities of noisy squares, for each training its own, and the true squares."""
    rng = np.random.default_rng(0)
    truth = np.zeros((cases, SIZE, SIZE), bool)
    truth[:, 16:48, 16:48] = True

    def masks(row, seed, place):
        probability = np.clip(truth * 0.6 + rng.normal(0.1, 0.15, truth.shape), 0, 1)
        return probability.astype(np.float32), truth

    return masks


@pytest.fixture
def with_masks(tmp_path):
    """Records whose pixel probabilities were kept."""
    return write_results(
        tmp_path / "r",
        ["plain", "other"],
        seeds=2,
        budgets=("full",),
        cases=6,
        masks=squares(6),
        more=f"image_size: {SIZE}",
    )


def test_a_verdict_that_depends_on_the_threshold_is_listed(tmp_path):
    store = write_results(
        tmp_path / "r",
        {"plain": 0.0, "stronger": 4.0},
        seeds=4,
        budgets=("full",),
        masks=squares(40),
        bits=0,
        more=f"image_size: {SIZE}",
    )
    analysis = analyse(tmp_path / "r")
    assert analysis is not None
    found = sensitivity(read_results(tmp_path / "r"), analysis)
    flips, tried = found.frame, found.tried
    assert "class threshold 0.3" in tried
    assert NOT_KEPT in tried
    assert len(flips)
    for flip in flips.to_dict("records"):
        assert flip["verdict"] != flip["other_verdict"]
        own = analysis.estimates[
            (analysis.estimates["row"] == flip["row"])
            & (analysis.estimates["metric"] == flip["metric"])
            & (analysis.estimates["domain"] == flip["domain"])
        ]
        assert own["verdict"].item() == flip["verdict"]
        if flip["metric"] == "accuracy":
            threshold = float(flip["policy"].rsplit(" ", 1)[1])
            scores = load_scores(store.root)
            scores = scores[scores["domain"] == flip["domain"]]
            right = (scores["probability"] >= threshold) == (scores["label"] == 1)
            means = right.groupby([scores["row"], scores["seed"]]).mean().groupby("row").mean()
            assert flip["other_difference"] == pytest.approx(means["stronger"] - means["plain"])


def test_masks_are_scored_again_under_every_policy(with_masks):
    analysis = analyse(with_masks.root)
    assert analysis is not None
    found = sensitivity(read_results(with_masks.root), analysis)
    flips, tried = found.frame, found.tried
    assert NOT_KEPT not in tried
    assert {"mask threshold 0.3", "surfaces of 8 neighbours", "spacing 2"} <= set(tried)
    assert any("single empty mask" in text for text in tried)
    # Every row's masks are alike, whatever its made-up scores were.
    distances = flips[flips["metric"].isin(["dice", "hausdorff"])]
    assert set(distances["other_verdict"]) <= {"equivalent", "undecided"}


def test_scores_under_another_threshold_are_those_of_the_masks(with_masks):
    # private: sensitivity() tells verdicts, not the scores that they are of
    from mmbench.analysis.sensitivity import _scored_again

    scores = load_scores(with_masks.root)
    scores = scores[scores["task"] == "segmentation"]
    policy = MetricPolicy(mask_threshold=0.3)
    again = _scored_again(read_results(with_masks.root), scores, policy, 4)
    assert again is not None
    run = scores["run"].iloc[0]
    kept = read_results(with_masks.root)
    spec = next(s for s in kept.available[run] if s.predictions.domain.domain == "county")
    stored = with_masks.predictions.arrays(spec.predictions.id, "masks.npz")["probabilities"]
    masks = kept.masks(run, "county", policy)
    assert masks is not None
    _, truth = masks
    expected = [
        segmentation_scores(one >= 0.3 * 65536, other, policy)
        for one, other in zip(stored, truth[:, 0], strict=True)
    ]
    found = again[(again["run"] == run) & (again["domain"] == "county")]
    for name in ("dice", "hausdorff", "assd"):
        assert found[name].to_numpy() == pytest.approx([row[name] for row in expected])
