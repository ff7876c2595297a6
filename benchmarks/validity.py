"""Whether verdicts keep their word, on simulated reports: ``python -m benchmarks.validity [REPORTS]``.

A report holds six rows, the first of them the reference, each trained at three label budgets with five seeds
and scored on the same patients of two domains. A score is the sum of effects of row, budget, seed, training,
patient and image; trainings of one seed share part of their luck. Scores go through the report's own code,
from blocks to verdicts. Generators that are hostile change one thing each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mmbench.analysis.primary import decided, primary_comparisons
from mmbench.analysis.records import Primary
from mmbench.analysis.scored import Scored, grids_of, score
from mmbench.analysis.sequential import new_design, take_look
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.stats.blocks import Block
from mmbench.stats.intervals import wilson
from mmbench.stats.power import Design, Noise, minimum_detectable_difference, power
from mmbench.stats.resampling import patient_weights
from mmbench.store.looks import Looks

ROWS, DOMAINS = 6, ("inside", "outside")
BUDGETS = ("10", "100", "full")
MARGIN = 0.01
PROTOCOL = parse_protocol(
    "name: simulated\n"
    'sources: {classification: "phantom:paediatric_ap", segmentation: "phantom:adult_pa"}\n'
    f"budgets: {{pairs: [{', '.join(f'{{classification: {b}, segmentation: {b}}}' for b in BUDGETS)}]}}\n"
    f"methods: [{', '.join(f'{{method: multimix, name: m{n}}}' for n in range(ROWS))}]\n"
    f"statistics: {{resamples: 400, equivalence: {MARGIN}}}\n"
)
Noises = Callable[[np.random.Generator, float, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, size: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal effects of a standard deviation."""
    return rng.normal(0, size, shape)


def skewed(rng: np.random.Generator, size: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return exponential effects, mirrored: a long tail of bad luck."""
    return size * (1 - rng.exponential(1, shape))


def heavy(rng: np.random.Generator, size: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return effects of Student's t with 3 degrees of freedom."""
    return size * rng.standard_t(3, shape) / np.sqrt(3)


@dataclass(frozen=True)
class Generator:
    """How scores are made; standard deviations unless it is said.

    Attributes
    ----------
    seed, own_seed : float
        Of a seed's luck that all rows share, and of each row's own.
    patient, own_patient, image, own : float
        Of a patient for all rows and for one, of an image in all trainings of a row, and in one training.
    budget_scale, row_scale : tuple of float
        What each budget's, and each row's, own luck is multiplied by.
    patients, images : int
        And how many images each has; ``images`` 0 for one to twelve.
    collapse : float
        Chance that a training collapses, to a score 0.3 lower.
    across : float
        Share of a seed's own luck (variance) that all budgets have in common.
    noise : callable
        Draws effects of trainings.
    logit : bool
        Whether scores are squashed towards 1.
    """

    seed: float = 0.01
    own_seed: float = 0.003
    patient: float = 0.04
    own_patient: float = 0.012
    image: float = 0.01
    own: float = 0.02
    budget_scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    row_scale: tuple[float, ...] = (1.0,) * ROWS
    patients: int = 100
    images: int = 2
    collapse: float = 0.0
    across: float = 0.0
    noise: Noises = normal
    logit: bool = False


FRIENDLY = Generator()
GENERATORS = {
    "friendly": FRIENDLY,
    "skewed luck": replace(FRIENDLY, noise=skewed),
    "heavy tails": replace(FRIENDLY, noise=heavy),
    "unequal rows and budgets": replace(
        FRIENDLY, budget_scale=(4.0, 1.0, 0.5), row_scale=(1.0, 0.2, 0.5, 1.0, 3.0, 5.0)
    ),
    "one training in eight collapses": replace(FRIENDLY, collapse=1 / 8),
    "15 patients with 1 to 12 images": replace(FRIENDLY, patients=15, images=0),
    "scores near 1": replace(FRIENDLY, logit=True),
    "seeds that correlate across budgets": replace(FRIENDLY, across=0.7),
}


def simulate(generator: Generator, seeds: int, shifts: np.ndarray, rng: np.random.Generator) -> list[Block]:
    """Return a report's blocks, one per domain; rows are shifted by ``shifts``, shape (ROWS,)."""
    own, shared = (ROWS, len(BUDGETS), seeds), (1, len(BUDGETS), seeds)
    scale = np.array(generator.row_scale)[:, None, None] * np.array(generator.budget_scale)[None, :, None]
    common = generator.noise(rng, generator.own_seed, (ROWS, 1, seeds))
    single = generator.noise(rng, generator.own_seed, own)
    luck = scale * (np.sqrt(generator.across) * common + np.sqrt(1 - generator.across) * single)
    luck = luck + generator.noise(rng, generator.seed, shared)
    luck -= 0.3 * (rng.random(own) < generator.collapse)
    counts = rng.integers(1, 13, generator.patients) if not generator.images else generator.images
    found = []
    for domain in DOMAINS:
        owner = np.repeat(np.arange(generator.patients), counts)
        by_patient = normal(rng, generator.patient, (1, 1, 1, generator.patients)) + normal(
            rng, generator.own_patient, (ROWS, 1, 1, generator.patients)
        )
        cases = by_patient[..., owner] + normal(rng, generator.image, (ROWS, 1, 1, len(owner)))
        cases = cases + normal(rng, generator.own, (*own, len(owner)))
        scores = luck[..., None] + cases
        scores = 1 - 0.03 * np.exp(-20 * scores) if generator.logit else 0.85 + scores
        scores = scores + shifts[:, None, None, None]
        found.append(_block(domain, scores.reshape(-1, len(owner)), seeds, owner))
    return found


def _block(domain: str, scores: np.ndarray, seeds: int, owner: np.ndarray) -> Block:
    trainings = [
        {
            "run": f"{row}-{budget}-{seed}",
            "row": f"m{row}",
            "method": "multimix",
            "budget_classification": budget,
            "budget_segmentation": budget,
            "subset": seed,
            "seed": seed,
        }
        for row in range(ROWS)
        for budget in BUDGETS
        for seed in range(seeds)
    ]
    names = np.arange(len(owner))
    frame = pd.DataFrame(trainings)
    return Block(domain, "segmentation", domain == "inside", frame, names, owner, owner, {"dice": scores})


def judge(
    blocks: list[Block], rng: np.random.Generator, protocol: Protocol = PROTOCOL
) -> tuple[tuple[Primary, ...], list[Scored]]:
    """Return a report's primary comparisons with their verdicts, as a report makes them."""
    found: list[Primary] = []
    measured = []
    for block in blocks:
        weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
        grids = grids_of(block, (), crossed=False)
        for metric in (METRICS[name] for name in protocol.statistics.primary):
            if metric.task.value == block.task:
                scored = score(block, metric, weights, protocol, grids)
                found += primary_comparisons(scored, protocol, list(scored.grids))
                measured.append(scored)
    return decided(found, protocol), measured


def right_verdict(difference: float) -> str:
    """Return what is true of a difference."""
    return "equivalent" if abs(difference) <= MARGIN else "better" if difference > 0 else "worse"


def expected_score(generator: Generator) -> float:
    """Return the expected score of a row without a shift, by a large simulation where there is no formula."""
    if not generator.logit:
        return 0.85 - 0.3 * generator.collapse
    effects = (generator.seed, generator.own_seed, generator.patient, generator.own_patient)
    total = sum(size**2 for size in (*effects, generator.image, generator.own))
    # The mean of exp(-20 x) of a normal x.
    return float(1 - 0.03 * np.exp(200 * total))


def run(
    name: str, reports: int, *, seeds: int = 5, shifts: np.ndarray | None = None, seed: int = 0
) -> dict[str, float]:
    """Simulate reports and count.

    Parameters
    ----------
    name : str
        Of a generator.
    reports, seeds : int
        How many, with so many seeds each.
    shifts : ndarray, optional
        True differences of the rows from the reference, shape (ROWS,) with 0 first; none when left out.
    seed : int
        Of the simulation.

    Returns
    -------
    dict of str to float
        ``wrong``: share of reports with any wrong verdict, single budgets included; ``decided``: share of
        primary comparisons that are decided; ``differences`` and ``scores``: shares of plain 95 % intervals
        that cover the truth.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    generator = GENERATORS[name]
    shifts = np.zeros(ROWS) if shifts is None else shifts
    truth = expected_score(generator)
    counts = dict.fromkeys(("wrong", "decided", "differences", "scores"), 0.0)
    for _ in range(reports):
        found, measured = judge(simulate(generator, seeds, shifts, rng), rng)
        wrong = False
        for record in found:
            shift = float(shifts[int(record.row[1:])])
            verdicts = [record.verdict, *(one.verdict for one in record.budgets)]
            wrong |= any(word not in (None, "undecided", right_verdict(shift)) for word in verdicts)
            plain = record.difference.at(0.05)
            counts["differences"] += (plain.low <= shift <= plain.high) / len(found)
        counts["wrong"] += wrong
        counts["decided"] += float(np.mean([record.verdict != "undecided" for record in found]))
        for scored in measured:
            cells = [cell for cell in scored.grids if cell.row in ("m0", "m1")]
            ends = [scored.estimate(cell, 0.95) for cell in cells]
            covered = [
                one.low <= truth + shifts[int(cell.row[1:])] <= one.high
                for one, cell in zip(ends, cells, strict=True)
            ]
            counts["scores"] += float(np.mean(covered)) / len(measured)
    return {key: count / reports for key, count in counts.items()}


AT_MARGIN = np.array([0.0, MARGIN, -MARGIN, MARGIN, -MARGIN, MARGIN]) * (1 - 1e-6)
"""True differences just within the margin, where "better" and "worse" are wrong and nearest to be called."""


def powers(seeds: int, reports: int, seed: int = 1) -> tuple[float, float, float]:
    """Return a difference, the power predicted for it and the share of first rows that are found significant.

    The difference is the one that is predicted to be found in 80 of 100 reports; found means that the
    corrected interval at Holm's first step leaves 0 out.
    """
    rng = np.random.default_rng([seed, seeds])
    generator, two = FRIENDLY, np.sqrt(2)
    family = (ROWS - 1) * len(DOMAINS)
    design = Design(1, seeds, generator.patients, family, 0.8 * 0.05, len(BUDGETS))
    noise = Noise(
        seed=two * generator.own_seed,
        patient=two * np.sqrt(generator.own_patient**2 + generator.image**2 / generator.images),
        patient_training=two * generator.own / np.sqrt(generator.images),
    )
    shift = minimum_detectable_difference(design, noise)
    shifts = np.zeros(ROWS)
    shifts[1] = shift
    found = 0
    for _ in range(reports):
        records, _ = judge(simulate(generator, seeds, shifts, rng), rng)
        own = next(record.difference for record in records if record.row == "m1")
        found += own.p < design.alpha / family
    return shift, power(shift, design, noise), found / reports


MIXED = np.array([0.0, 0.0, 0.004, 0.02, -0.03, AT_MARGIN[1]])
"""True differences of all kinds: none, too small to matter, of two and three margins, and of just one."""


def sequential(reports: int, shifts: np.ndarray, first: int = 3, most: int = 20) -> dict[str, float]:
    """Simulate group-sequential reports, and the same with all seeds at once.

    Returns
    -------
    dict of str to float
        ``wrong``: share of reports in which any wrong verdict falls at any look; ``seeds``: mean seeds of the
        rows other than the reference; ``decided`` and ``fixed``: shares of primary comparisons decided, by
        the sequential design and with all seeds at once.
    """
    rng = np.random.default_rng([17, *np.abs(1e6 * shifts).astype(int)])
    counts = dict.fromkeys(("wrong", "seeds", "decided", "fixed"), 0.0)
    family = (ROWS - 1) * len(DOMAINS)
    for _ in range(reports):
        blocks, look_seed = simulate(FRIENDLY, most, shifts, rng), int(rng.integers(2**32))
        looks = followed(blocks, first, most, look_seed)
        fallen = [one for _, one in looks.decided]
        counts["wrong"] += any(
            one.verdict != right_verdict(float(shifts[int(one.row[1:])])) for one in fallen
        )
        counts["seeds"] += float(np.mean([looks.seeds_of(f"m{row}") for row in range(1, ROWS)]))
        counts["decided"] += len(fallen) / family
        whole, _ = judge(blocks, np.random.default_rng(look_seed))
        counts["fixed"] += float(np.mean([record.verdict != "undecided" for record in whole]))
    return {key: count / reports for key, count in counts.items()}


def followed(blocks: list[Block], first: int, most: int, seed: int) -> Looks:
    """Return all looks of a group-sequential design over blocks that hold the seeds of the last one."""
    looks = new_design(PROTOCOL, (ROWS - 1) * len(blocks), first, most)
    while (seeds := looks.next_seeds) is not None:
        taken = [_first_seeds(block, seeds) for block in blocks]
        found, _ = judge(taken, np.random.default_rng(seed))
        looks = take_look(found, PROTOCOL, looks)
    return looks


def _first_seeds(block: Block, seeds: int) -> Block:
    return with_trainings(block, (block.trainings["seed"] < seeds).to_numpy())


def with_trainings(block: Block, kept: np.ndarray) -> Block:
    """Return a block with some of its trainings, a mask over them."""
    scores = {name: values[kept] for name, values in block.scores.items()}
    return replace(block, trainings=block.trainings[kept].reset_index(drop=True), scores=scores)


def main() -> None:
    """Print the tables of ``docs/statistics.md``."""
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{reports} reports of {ROWS} rows, {len(BUDGETS)} budgets, 5 seeds, {len(DOMAINS)} domains\n")
    print(
        "| generator | true differences | any wrong verdict | decided "
        "| differences covered | scores covered |"
    )
    print("| --- | --- |" + " ---: |" * 4)
    for name in GENERATORS:
        for words, shifts in (("none", None), ("just within ± margin", AT_MARGIN)):
            found = run(name, reports, shifts=shifts)
            shares = " | ".join(f"{100 * share:.1f} %" for share in found.values())
            print(f"| {name} | {words} | {shares} |", flush=True)
    print("\n| seeds | true difference | power predicted | found |\n| ---: | ---: | ---: | ---: |")
    for seeds in (3, 5, 10):
        shift, predicted, share = powers(seeds, reports)
        print(f"| {seeds} | {shift:.4f} | {100 * predicted:.1f} % | {100 * share:.1f} % |", flush=True)
    heads = ("any wrong verdict", "mean seeds of 20", "decided", "decided with all 20")
    print(f"\n| true differences | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * 4)
    for words, shifts in (
        ("none", np.zeros(ROWS)),
        ("just within ± margin", AT_MARGIN),
        ("of all kinds", MIXED),
    ):
        found = sequential(reports // 4, shifts)
        shares = f"{100 * found['decided']:.1f} % | {100 * found['fixed']:.1f} %"
        print(f"| {words} | {100 * found['wrong']:.1f} % | {found['seeds']:.1f} | {shares} |", flush=True)
    low, high = (100 * end for end in vars(wilson(0.05 * reports, reports)).values())
    print(f"\nA true rate of 5 % shows as {low:.1f} to {high:.1f} % in {reports} reports.")


if __name__ == "__main__":
    main()
