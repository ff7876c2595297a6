"""Per-case segmentation metrics against MONAI's: ``python -m tests.performance.metrics``.

Both score the same pairs of phantom lungs at 256 px, the prediction being the truth moved and eroded or
dilated; the numbers are compared before the time is. MONAI's time counts only the five metrics that it
shares with mmbench; mmbench's counts everything it records of a case, SSIM included.
"""

from __future__ import annotations

import statistics
import time
import warnings

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy.ndimage import binary_dilation, binary_erosion

from mmbench.data.phantom import generate
from mmbench.evaluation.segmentation import segmentation_scores
from mmbench.protocol.schema import MetricPolicy

CASES, SIDE, REPEATS = 40, 256, 5
POLICY = MetricPolicy()


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (prediction, truth) pairs of phantom lungs."""
    random, found = np.random.default_rng(0), []
    for truth in generate("adult_pa", {}, cases=CASES, image_size=SIDE).masks > 0:
        moved = np.roll(truth, random.integers(-6, 7, 2), (0, 1))
        change = binary_dilation if random.random() < 0.5 else binary_erosion
        found.append((change(moved, iterations=int(random.integers(1, 5))), truth))
    return found


def monai_scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return what MONAI offers of a case's scores."""
    one, other = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth))
    shared = {"include_background": True, "spacing": POLICY.spacing}
    return {
        "dice": compute_dice(one, other).item(),
        "hausdorff": compute_hausdorff_distance(one, other, **shared).item(),
        "hd95": compute_hausdorff_distance(one, other, percentile=95, **shared).item(),
        "assd": compute_average_surface_distance(one, other, symmetric=True, **shared).item(),
        "nsd": compute_surface_dice(one, other, [POLICY.nsd_tolerance], **shared).item(),
    }


def main() -> None:
    """Compare the numbers, then print the milliseconds of a case and their ratio."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cases = pairs()
    for prediction, truth in cases:
        ours = segmentation_scores(prediction, truth, POLICY)
        for name, value in monai_scores(prediction, truth).items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    seconds: dict[str, list[float]] = {"mmbench": [], "monai": []}
    for _ in range(REPEATS):
        for name, score in (("mmbench", mmbench_scores), ("monai", monai_scores)):
            begin = time.perf_counter()
            for prediction, truth in cases:
                score(prediction, truth)
            seconds[name].append((time.perf_counter() - begin) / CASES)
    ours, theirs = (1000 * statistics.median(values) for values in seconds.values())
    print(f"{SIDE} px, a case: mmbench {ours:.2f} ms, MONAI {theirs:.2f} ms, {theirs / ours:.1f}x (goal 3x)")


def mmbench_scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return everything that mmbench records of a case."""
    return segmentation_scores(prediction, truth, POLICY)


if __name__ == "__main__":
    main()
