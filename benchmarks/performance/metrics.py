"""Per-case segmentation metrics against MONAI's: ``python -m benchmarks.performance.metrics``.

Both score the same pairs of phantom lungs at 256 px, the prediction being the truth moved and eroded or
dilated; the numbers are compared before the time is. MONAI's time counts only the four surface metrics;
mmbench's counts everything it records of a case, SSIM included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from benchmarks.performance.step import interleaved
from mmbench.data.phantom import generate
from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy
from tests.evaluation.by_monai import monai_scores

CASES, SIDE = 40, 256
POLICY = MetricPolicy()


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (prediction, truth) pairs of phantom lungs."""
    random, found = np.random.default_rng(0), []
    for truth in generate("adult_pa", {}, cases=CASES, image_size=SIDE).masks > 0:
        moved = np.roll(truth, random.integers(-6, 7, 2), (0, 1))
        change = binary_dilation if random.random() < 0.5 else binary_erosion
        found.append((change(moved, iterations=int(random.integers(1, 5))), truth))
    return found


def main() -> None:
    """Compare the numbers, then print the milliseconds of a case and their ratio."""
    torch.set_num_threads(1)
    cases = pairs()
    for prediction, truth in cases:
        found = segmentation_scores(prediction, truth, POLICY)
        for name, value in monai_scores(prediction, truth, POLICY).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    ours, theirs = (
        1000 / CASES * seconds
        for seconds in interleaved(
            *(partial(score_all, score, cases) for score in (segmentation_scores, monai_scores))
        )
    )
    print(f"{SIDE} px, a case: mmbench {ours:.2f} ms, MONAI {theirs:.2f} ms, {theirs / ours:.1f}x (goal 3x)")


def score_all(score: Callable[..., object], cases: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Score every case."""
    for prediction, truth in cases:
        score(prediction, truth, POLICY)


if __name__ == "__main__":
    main()
