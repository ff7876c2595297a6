"""What a protocol could find, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Design:
    """What a comparison of two methods rests on.

    Attributes
    ----------
    subsets, seeds : int
        Trainings of each method at each label budget: all combinations, or one labelled subset per seed,
        which counts as 1.
    patients : float
        In the target's test part; the effective number where patients have several cases.
    family : int
        Tests corrected together.
    alpha : float
        Significance level of the family.
    budgets : int
        Independent label budgets that are averaged.
    """

    subsets: int
    seeds: int
    patients: float
    family: int = 1
    alpha: float = 0.05
    budgets: int = 1


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the difference of two methods.

    Attributes
    ----------
    subset, seed, subset_seed : float
        Of the domain's mean difference, between labelled subsets, between seeds, and between trainings beside
        these two.
    patient : float
        Of a patient's difference, the same in every training.
    patient_training : float
        Of a patient's difference, another in every training.
    balance : float
        In (0, 1]: how equal the variances between trainings are at the budgets that are averaged,
        (sum v)^2 / (B sum v^2). Their degrees of freedom shrink by it (Satterthwaite).
    """

    subset: float = 0.0
    seed: float = 0.0
    subset_seed: float = 0.0
    patient: float = 0.0
    patient_training: float = 0.0
    balance: float = 1.0


def power(difference: float, design: Design, noise: Noise) -> float:
    """Return the probability that a true difference is significant at Holm's first step.

    The t test of :func:`mmbench.stats.mixed.mean_estimate`, whose variance is estimated: its
    distribution is averaged over the estimate's own scatter, drawn once with a fixed stream.

    Parameters
    ----------
    difference : float
        True difference of the domain's means.
    design : Design
        Trainings, patients and family.
    noise : Noise
        How much differences vary.

    Returns
    -------
    float
        In [0, 1]; 0 without patients, as where a test part lacks a class.
    """
    from scipy import stats

    if design.patients <= 0:
        return 0.0
    between, shared = _mean_variance(design, noise)
    scatter = math.sqrt(sum(between.values()) + shared)
    if scatter == 0:
        return float(difference != 0)
    limits = _limits(design, noise)
    low = stats.norm.cdf((-limits - difference) / scatter)
    high = stats.norm.sf((limits - difference) / scatter)
    return float(np.mean(low + high))


def minimum_detectable_difference(
    design: Design, noise: Noise, wanted: float = 0.8, largest: float = 1e3
) -> float:
    """Return the smallest true difference that is found with the wanted power; infinite beyond largest."""
    from scipy import optimize

    if power(largest, design, noise) < wanted:
        return math.inf
    if power(0.0, design, noise) >= wanted:
        return 0.0
    return float(optimize.brentq(lambda gap: power(gap, design, noise) - wanted, 0.0, largest, xtol=1e-6))


def seeds_needed(
    difference: float, design: Design, noise: Noise, wanted: float = 0.8, most: int = 200
) -> int | None:
    """Return the fewest seeds that find a true difference with the wanted power; None if ``most`` do not."""
    low, high = 1, most
    if power(difference, replace(design, seeds=most), noise) < wanted:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(difference, replace(design, seeds=middle), noise) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def _mean_variance(design: Design, noise: Noise) -> tuple[dict[str, float], float]:
    """Return the variance of the mean difference between trainings, by factor, and that of the patients."""
    count = design.subsets * design.seeds
    single = noise.subset_seed**2 + noise.patient_training**2 / design.patients
    between = {
        "subset": noise.subset**2 / design.subsets,
        "seed": noise.seed**2 / design.seeds,
        "rest": single / count,
    }
    # Budgets are independent replications of trainings, not of patients.
    return {name: size / design.budgets for name, size in between.items()}, noise.patient**2 / design.patients


def _limits(design: Design, noise: Noise, samples: int = 4000) -> np.ndarray:
    """Return critical differences, one for each way the estimated variance could come out."""
    from scipy import stats

    rng = np.random.default_rng(20210413)
    subsets, seeds = design.subsets, design.seeds
    count = subsets * seeds
    level = 1 - design.alpha / max(design.family, 1) / 2
    between, shared = _mean_variance(design, noise)
    of_patients = design.patients - 1
    if count == 1 or of_patients <= 0:
        # The spread between trainings is there but cannot be seen: cases alone make the interval.
        seen = (noise.patient**2 + noise.patient_training**2) / design.patients
        if of_patients <= 0 or design.budgets > 1:
            return np.full(samples, np.inf)
        spread = seen * rng.chisquare(of_patients, samples) / of_patients
        return np.sqrt(spread) * float(stats.t.ppf(level, of_patients))
    budgets = max(1.0, design.budgets * noise.balance)
    parts: list[tuple[np.ndarray, float]]
    if min(subsets, seeds) == 1:
        whole = sum(between.values())
        parts = [
            (whole * share * rng.chisquare(count - 1, samples) / (count - 1), count - 1)
            for share in _shares(design.budgets, noise.balance)
        ]
        variance = np.add.reduce([part for part, _ in parts])
    else:
        scale = {
            "subset": (between["subset"] + between["rest"], budgets * (subsets - 1)),
            "seed": (between["seed"] + between["rest"], budgets * (seeds - 1)),
            "rest": (between["rest"], budgets * (subsets - 1) * (seeds - 1)),
        }
        squares = {name: size * rng.chisquare(df, samples) / df for name, (size, df) in scale.items()}
        both = squares["subset"] + squares["seed"] - squares["rest"]
        variance = np.maximum.reduce([both, squares["subset"], squares["seed"]])
        parts = [(squares[name], scale[name][1]) for name in ("subset", "seed")]
    uncertain = np.add.reduce([part**2 / df for part, df in parts])
    squared = np.add.reduce([part for part, _ in parts]) ** 2
    df = np.where(uncertain > 0, squared / np.maximum(uncertain, 1e-300), count - 1)
    critical, case_critical = stats.t.ppf(level, df), float(stats.t.ppf(level, of_patients))
    total = np.maximum(variance + shared, 1e-300)
    alone = shared + noise.patient_training**2 / design.patients / (count * design.budgets)
    # As in mmbench.stats.mixed: Cochran's critical value, and never less than patients alone would ask.
    limits: np.ndarray = np.maximum(
        (variance * critical + shared * case_critical) / np.sqrt(total), case_critical * np.sqrt(alone)
    )
    return limits


def _shares(budgets: int, balance: float) -> list[float]:
    """Return shares of the variance that have a balance: one budget has more, the others are alike."""
    rest, effective = budgets - 1, budgets * min(max(balance, 1 / budgets), 1.0)
    # (w + rest)^2 / (w^2 + rest) = effective, solved for w >= 1.
    if rest == 0 or effective >= budgets:
        return [1 / budgets] * budgets
    if effective <= 1:
        return [1.0] + [0.0] * rest
    root = math.sqrt(rest**2 - (1 - effective) * (rest**2 - effective * rest))
    more = (rest + root) / (effective - 1)
    return [more / (more + rest)] + [1 / (more + rest)] * rest
