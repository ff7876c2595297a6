"""Whether verdicts keep their word, on simulated benchmarks: ``python -m benchmarks.validity [FIGURE.png]``.

A benchmark is six methods trained on the same labelled subsets and seeds and scored on the same patients, two
images each. Every score is the sum of effects of method, subset, seed, training, patient and image; no method
is better than another unless it is said. Scores go through the report's own code, from blocks to verdicts.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from mmbench.analysis.comparisons import against_reference, compare_all
from mmbench.analysis.estimates import cell_estimates
from mmbench.analysis.records import CellEstimate
from mmbench.analysis.scored import Scored, grids_of, score
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.metrics import METRICS
from mmbench.stats.blocks import Block
from mmbench.stats.intervals import wilson
from mmbench.stats.power import Design, Noise, minimum_detectable_difference, power
from mmbench.stats.resampling import patient_weights

METHODS = 6
PROTOCOL = parse_protocol(
    "name: simulated\n"
    'sources: {classification: "phantom:paediatric_ap", segmentation: "phantom:adult_pa"}\n'
    "budgets: {pairs: [{classification: full, segmentation: full}]}\n"
    f"methods: [{', '.join(f'{{method: multimix, name: m{n}}}' for n in range(METHODS))}]\n"
    "statistics: {resamples: 400}\n"
)
IMAGES_PER_PATIENT = 2
DESIGNS = [(1, 3, 60), (1, 5, 60), (1, 10, 60), (3, 3, 60), (5, 2, 60)]
"""Labelled subsets, seeds, patients."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a score's parts; ``common`` is a patient's, the same for all methods."""

    centre: float
    subset: float
    seed: float
    training: float
    patient: float
    common: float
    image: float
    own: float
    """Of an image in one training."""

    @property
    def total(self) -> float:
        parts = (self.subset, self.seed, self.training, self.patient, self.common, self.image, self.own)
        return math.sqrt(sum(part**2 for part in parts))

    def of_difference(self) -> Noise:
        """Return what a protocol's power would be worked out from."""
        two = math.sqrt(2)
        return Noise(
            subset=two * self.subset,
            seed=two * self.seed,
            subset_seed=two * self.training,
            patient=two * math.sqrt(self.patient**2 + self.image**2 / IMAGES_PER_PATIENT),
            patient_training=two * self.own / math.sqrt(IMAGES_PER_PATIENT),
        )


DICE = Spread(0.85, subset=0.01, seed=0.01, training=0.01, patient=0.02, common=0.04, image=0.02, own=0.03)
LATENT = Spread(1.5, subset=0.15, seed=0.15, training=0.15, patient=0.3, common=0.8, image=0.3, own=0.6)
"""Of a score whose sign says whether a case is classified rightly."""


def spread_of(task: str, design: tuple[int, int, int]) -> Spread:
    """Return a score's spread; with one labelled subset, what is asked is the score under that subset."""
    spread = DICE if task == "segmentation" else LATENT
    return spread if design[0] > 1 else replace(spread, subset=0.0)


def simulate(task: str, subsets: int, seeds: int, patients: int, shift: float, rng) -> Block:
    """Return scores of all methods; the second method's are ``shift`` better."""
    spread = spread_of(task, (subsets, seeds, patients))
    grid = (METHODS, subsets, seeds)

    def effect(size, *shape):
        return rng.normal(0, size, shape)

    score = (
        spread.centre
        + effect(spread.subset, METHODS, subsets, 1, 1, 1)
        + effect(spread.seed, METHODS, 1, seeds, 1, 1)
        + effect(spread.training, *grid, 1, 1)
        + effect(spread.patient, METHODS, 1, 1, patients, 1)
        + effect(spread.common, patients, 1)
        + effect(spread.image, METHODS, 1, 1, patients, IMAGES_PER_PATIENT)
        + effect(spread.own, *grid, patients, IMAGES_PER_PATIENT)
    )
    score[1] += shift
    flat = score.reshape(METHODS * subsets * seeds, patients * IMAGES_PER_PATIENT)
    if task == "segmentation":
        scores = {"dice": flat}
    else:
        label = np.arange(flat.shape[1]) % 2
        right = flat > 0
        scores = {
            "label": np.tile(label.astype(float), (len(flat), 1)),
            "probability": np.where(right == (label == 1), 0.9, 0.1),
            "correct": right.astype(float),
        }
    trainings = [
        {
            "run": f"{method}-{subset}-{seed}",
            "row": f"m{method}",
            "method": "multimix",
            "budget_classification": "full",
            "budget_segmentation": "full",
            "subset": subset,
            "seed": seed,
        }
        for method in range(METHODS)
        for subset in range(subsets)
        for seed in range(seeds)
    ]
    owner = np.repeat(np.arange(patients), IMAGES_PER_PATIENT)
    return Block("there", task, False, pd.DataFrame(trainings), np.arange(len(owner)), owner, owner, scores)


def judge(block: Block, rng) -> tuple[list[CellEstimate], Scored]:
    """Return every cell's estimate with its comparison with the reference, as a report makes them."""
    metric = METRICS["dice" if block.task == "segmentation" else "accuracy"]
    weights = patient_weights(block.patients, PROTOCOL.statistics.resamples, rng)
    scored = score(block, metric, weights, PROTOCOL, grids_of(block, (), crossed=True))
    order = list(scored.grids)
    estimates = cell_estimates(scored, PROTOCOL, order)
    comparisons = compare_all(scored, PROTOCOL, order, None)
    return against_reference(estimates, comparisons, metric, PROTOCOL), scored


def truth(task: str, design: tuple[int, int, int]) -> float:
    """Return the expected score over all subsets, seeds, trainings and patients."""
    spread = spread_of(task, design)
    return spread.centre if task == "segmentation" else float(stats.norm.cdf(spread.centre / spread.total))


def hierarchical_bootstrap(
    values: np.ndarray, patients: np.ndarray, rng: np.random.Generator, resamples: int = 2000
) -> np.ndarray:
    """Resample labelled subsets, seeds and patients together, and return the means.

    Each factor is drawn anew with replacement and applied to all others (Owen 2007,
    doi:10.1214/07-AOAS122). With few levels its percentiles are too narrow: the variance of n levels
    comes out (n - 1) / n times too small, and quantiles know nothing of the t distribution.

    Parameters
    ----------
    values : ndarray
        Per-case scores, shape (subsets, seeds, N).
    patients : ndarray
        Codes 0..P-1, shape (N,).
    rng : Generator
        The random stream.
    resamples : int
        How often.

    Returns
    -------
    ndarray
        Means, shape (resamples,).
    """
    subsets, seeds, _ = values.shape
    weights = patient_weights(patients, resamples, rng).astype(np.float64)
    by_training = np.einsum("bn,dsn->bds", weights, values, optimize=True) / weights.sum(1)[:, None, None]
    of_subset = rng.multinomial(subsets, np.full(subsets, 1 / subsets), size=resamples) / subsets
    of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    means: np.ndarray = np.einsum("bds,bd,bs->b", by_training, of_subset, of_seed)
    return means


def percentile_covers(scored: Scored, rng) -> bool:
    """Whether the percentile interval of a hierarchical bootstrap covers no difference."""
    one, other = list(scored.grids)[:2]
    name = "dice" if scored.metric.name == "dice" else "correct"
    difference = scored.block.scores[name][scored.grids[one]] - scored.block.scores[name][scored.grids[other]]
    means = hierarchical_bootstrap(difference, scored.block.patients, rng, resamples=400)
    low, high = np.quantile(means, [0.025, 0.975])
    return bool(low <= 0 <= high)


def run(task: str, design: tuple[int, int, int], benchmarks: int, seed: int = 0) -> dict[str, float]:
    """Simulate benchmarks without a true difference; return rates.

    Returns
    -------
    dict of str to float
        ``better``: share of benchmarks in which any method is called better than the reference;
        ``significant``: in which any corrected p is below 0.05; ``differences`` and ``scores``: shares of
        intervals of differences from the reference, and of scores, that cover the truth;
        ``percentile``: that of percentile intervals of a hierarchical bootstrap instead.
    """
    rng = np.random.default_rng([seed, *design])
    expected = truth(task, design)
    counts = dict.fromkeys(("better", "significant", "differences", "scores", "percentile"), 0.0)
    for _ in range(benchmarks):
        estimates, scored = judge(simulate(task, *design, 0.0, rng), rng)
        tests = [record.against for record in estimates if record.against is not None]
        assert len(tests) == METHODS - 1
        counts["better"] += any(test.verdict == "better" for test in tests)
        counts["significant"] += any(test.p_holm < 0.05 for test in tests)
        counts["differences"] += np.mean([test.low <= 0 <= test.high for test in tests])
        counts["scores"] += np.mean([r.estimate.low <= expected <= r.estimate.high for r in estimates])
        counts["percentile"] += percentile_covers(scored, rng)
    return {name: count / benchmarks for name, count in counts.items()}


def powers(design: tuple[int, int, int], benchmarks: int, seed: int = 1) -> tuple[float, float, float]:
    """Return a difference in Dice, the power predicted for it and the share of benchmarks that find it.

    The difference is the one that is predicted to be found in 80 of 100 benchmarks.
    """
    rng = np.random.default_rng([seed, *design])
    subsets, seeds, patients = design
    planned = Design(subsets, seeds, patients, family=METHODS - 1)
    noise = spread_of("segmentation", design).of_difference()
    shift = minimum_detectable_difference(planned, noise)
    found = 0
    for _ in range(benchmarks):
        estimates, _ = judge(simulate("segmentation", *design, shift, rng), rng)
        found += next(r.against for r in estimates if r.cell.row == "m1").p_holm < 0.05
    return shift, power(shift, planned, noise), found / benchmarks


def main() -> None:
    """Print the table of ``docs/statistics.md``, and draw its figure."""
    benchmarks = 1000
    print(f"{benchmarks} benchmarks of {METHODS} methods without a true difference, 60 patients\n")
    print(
        "| metric | subsets x seeds | any better | any p < 0.05 | differences covered | scores covered | ",
        end="",
    )
    print("percentile bootstrap covers |\n| --- | --- |" + " ---: |" * 5)
    rows = []
    for task, metric in (("segmentation", "Dice"), ("classification", "accuracy")):
        for design in DESIGNS:
            found = run(task, design, benchmarks)
            rows.append({"metric": metric, "design": f"{design[0]} x {design[1]}", **found})
            shares = " | ".join(f"{100 * found[name]:.1f} %" for name in found)
            print(f"| {metric} | {design[0]} x {design[1]} | {shares} |", flush=True)
    print(
        "\n| subsets x seeds | true difference in Dice | power predicted | found |\n| --- |" + " ---: |" * 3
    )
    for design in DESIGNS:
        shift, predicted, found_share = powers(design, benchmarks)
        shares = f"{100 * predicted:.1f} % | {100 * found_share:.1f} %"
        print(f"| {design[0]} x {design[1]} | {shift:.3f} | {shares} |", flush=True)
    if len(sys.argv) > 1:
        draw(pd.DataFrame(rows), benchmarks, sys.argv[1])


def draw(rows: pd.DataFrame, benchmarks: int, path: str) -> None:
    """Draw error rates and coverages with their own intervals."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = [f"{row['metric'].replace('accuracy', 'Acc')}\n{row['design']}" for _, row in rows.iterrows()]
    places = np.arange(len(rows))
    for axes, series, limits in (
        (left, {"better": "any method called better", "significant": "any p < 0.05 after Holm"}, (0, 10)),
        (
            right,
            {
                "differences": "interval of a difference",
                "scores": "interval of a score",
                "percentile": "percentile bootstrap of a difference",
            },
            (60, 100),
        ),
    ):
        for number, (name, label) in enumerate(series.items()):
            ends = [wilson(value * benchmarks, benchmarks) for value in rows[name]]
            middle = 100 * rows[name].to_numpy()
            spread = [
                middle - [100 * end.low for end in ends],
                [100 * end.high for end in ends] - middle,
            ]
            shifted = places + (number - 1) * 0.2
            axes.errorbar(shifted, middle, spread, fmt="osD"[number], markersize=4, label=label, capsize=2)
        axes.set_xticks(places, names, fontsize=7)
        axes.set_ylim(*limits)
        axes.legend(fontsize=7, loc="lower right" if limits[1] == 100 else "upper right")
    left.axhline(5, color="0.5", linewidth=0.8)
    left.set_ylabel("benchmarks, %")
    left.set_title("False alarms without a true difference", fontsize=9)
    right.axhspan(93, 97, color="0.85", zorder=0)
    right.set_ylabel("intervals that cover the truth, %")
    right.set_title("Coverage of 95 % intervals", fontsize=9)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
