"""What a protocol could find, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmbench.stats.paired import smallest_signed_rank_p as smallest_p

__all__ = ["Design", "Noise", "minimum_detectable_difference", "pairs_needed", "power", "smallest_p"]


def pairs_needed(family: int, alpha: float = 0.05) -> int:
    """Return how many trainings the exact signed-rank test needs to pass Holm's first step.

    Parameters
    ----------
    family : int
        Tests corrected together.
    alpha : float
        Significance level.
    """
    count = 1
    while max(family, 1) * smallest_p(count) >= alpha:
        count += 1
    return count


@dataclass(frozen=True)
class Design:
    """What a comparison of two methods rests on.

    Attributes
    ----------
    subsets, seeds : int
        Trainings of each method are all combinations.
    patients : int
        In the target's test part.
    family : int
        Tests corrected together.
    alpha : float
        Significance level.
    """

    subsets: int
    seeds: int
    patients: int
    family: int = 1
    alpha: float = 0.05


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
    """

    subset: float = 0.0
    seed: float = 0.0
    subset_seed: float = 0.0
    patient: float = 0.0
    patient_training: float = 0.0


def power(difference: float, design: Design, noise: Noise) -> float:
    """Return the probability that a true difference is significant at Holm's first step.

    The t test of :func:`mmbench.stats.mixed.mixed_estimate`, whose variance is estimated: its
    distribution is averaged over the estimate's own scatter, drawn once with a fixed stream.

    Parameters
    ----------
    difference : float
        True difference of the domain's means.
    design : Design
        Trainings, patients and family.
    noise : Noise
        How much differences vary.
    """
    from scipy import stats

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


def _mean_variance(design: Design, noise: Noise) -> tuple[dict[str, float], float]:
    """Return the variance of the mean difference between trainings, by factor, and that of the patients."""
    count = design.subsets * design.seeds
    single = noise.subset_seed**2 + noise.patient_training**2 / design.patients
    between = {
        "subset": noise.subset**2 / design.subsets,
        "seed": noise.seed**2 / design.seeds,
        "rest": single / count,
    }
    return between, noise.patient**2 / design.patients


def _limits(design: Design, noise: Noise, samples: int = 4000) -> np.ndarray:
    """Return critical differences, one for each way the estimated variance could come out."""
    from scipy import stats

    rng = np.random.default_rng(20210413)
    subsets, seeds = design.subsets, design.seeds
    count = subsets * seeds
    level = 1 - design.alpha / max(design.family, 1) / 2
    between, shared = _mean_variance(design, noise)
    if count == 1:
        # The spread between trainings is there but cannot be seen: cases alone make the interval.
        seen = noise.patient**2 / design.patients + noise.patient_training**2 / design.patients
        df = design.patients - 1
        spread = seen * rng.chisquare(df, samples) / df
        return np.sqrt(spread) * float(stats.t.ppf(level, df))
    if min(subsets, seeds) == 1:
        whole = sum(between.values())
        parts = [(whole * rng.chisquare(count - 1, samples) / (count - 1), count - 1)]
        variance = parts[0][0]
    else:
        scale = {
            "subset": (between["subset"] + between["rest"], subsets - 1),
            "seed": (between["seed"] + between["rest"], seeds - 1),
            "rest": (between["rest"], (subsets - 1) * (seeds - 1)),
        }
        squares = {name: size * rng.chisquare(df, samples) / df for name, (size, df) in scale.items()}
        both = squares["subset"] + squares["seed"] - squares["rest"]
        variance = np.maximum.reduce([both, squares["subset"], squares["seed"]])
        parts = [(squares["subset"], subsets - 1), (squares["seed"], seeds - 1)]
    uncertain = np.add.reduce([part**2 / df for part, df in parts])
    whole = np.add.reduce([part for part, _ in parts])
    freedom = np.where(uncertain > 0, whole**2 / np.maximum(uncertain, 1e-300), count - 1)
    of_trainings, of_patients = stats.t.ppf(level, freedom), stats.t.ppf(level, design.patients - 1)
    total = np.maximum(variance + shared, 1e-300)
    alone = shared + noise.patient_training**2 / design.patients / count
    # As in mmbench.stats.mixed: Cochran's critical value, and never less than patients alone would ask.
    limits: np.ndarray = np.maximum(
        (variance * of_trainings + shared * of_patients) / np.sqrt(total), of_patients * np.sqrt(alone)
    )
    return limits
