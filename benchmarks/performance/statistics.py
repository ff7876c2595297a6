"""How long the statistics take: ``python -m benchmarks.performance.statistics``."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from mmbench.stats.blocks import Block
from mmbench.stats.delong import delong_test
from mmbench.stats.resampling import patient_weights, replicates

CASES, METHODS, RESAMPLES = 4185, 6, 10_000


def main() -> None:
    """Time 10,000 resamples beside a loop of 100, and DeLong's test beside its definition."""
    rng = np.random.default_rng(0)
    scores, cases = rng.random((METHODS, CASES)), np.arange(CASES)
    block = Block("there", "segmentation", False, pd.DataFrame(), cases, cases, cases, {"dice": scores})
    begin = time.perf_counter()
    replicates(block, "dice", patient_weights(cases, RESAMPLES, rng))
    fast = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(100):
        scores[:, rng.integers(CASES, size=CASES)].mean(axis=1)
    loop = (time.perf_counter() - begin) * RESAMPLES / 100
    print(f"{RESAMPLES} paired resamples of {CASES} cases x {METHODS} methods")
    print(f"  weights, product    {fast:6.2f} s, {loop / fast:.1f} times faster than a loop")

    labels = (rng.random(CASES) < 0.34).astype(float)
    a, b = labels + rng.normal(0, 1, CASES), labels + rng.normal(0, 1, CASES)
    delong_test(labels[:100], a[:100], b[:100])  # imports
    begin = time.perf_counter()
    delong_test(labels, a, b)
    ranks = time.perf_counter() - begin
    begin = time.perf_counter()
    for one in (a, b):
        above = (one[labels == 1][:, None] > one[labels == 0]).astype(float)
        np.cov(above.mean(0)), np.cov(above.mean(1))
    pairs = time.perf_counter() - begin
    print(f"  DeLong by ranks     {1000 * ranks:6.1f} ms, {pairs / ranks:.0f} times faster than all pairs")


if __name__ == "__main__":
    main()
