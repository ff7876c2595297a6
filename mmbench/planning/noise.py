"""How noisy the difference of two methods is: measured in recorded runs, or assumed."""

from __future__ import annotations

import math

import numpy as np

from mmbench.analysis.rows import compatible
from mmbench.analysis.scored import grids_of, score
from mmbench.planning.plan import Plan
from mmbench.protocol.metrics import MAIN_METRIC, METRICS
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import generator
from mmbench.stats.blocks import Block, blocks
from mmbench.stats.power import Noise
from mmbench.stats.resampling import patient_weights
from mmbench.stats.variance import VarianceBudget, variance_budget
from mmbench.store.frames import available_scores, score_frame
from mmbench.store.store import ResultStore

RESAMPLES = 300
ASSUMED = {
    "accuracy": Noise(seed=0.05, patient=0.15, patient_training=0.40),
    "dice": Noise(seed=0.02, patient=0.02, patient_training=0.03),
}
"""Noise of the difference of two methods where nothing is recorded: about what the reference run
``results/reference/cross_domain`` shows, whose single labelled subset says nothing of subsets."""


def measured_noise(plan: Plan, store: ResultStore) -> dict[tuple[str, str], Noise]:
    """Return the noise of differences from the reference in the recorded runs, mean over rows and budgets.

    Parameters
    ----------
    plan : Plan
        Its reference and trivial baselines count.
    store : ResultStore
        The records.

    Returns
    -------
    dict of (str, str) to Noise
        By metric and domain, as far as two runs of two rows can be compared.
    """
    frame = score_frame(store, available_scores(store, plan))
    if frame is None:
        return {}
    found = {}
    for block in blocks(frame):
        metric = METRICS[MAIN_METRIC[Task(block.task)]]
        budgets = _budgets(plan, block)
        if budgets:
            found[metric.name, block.domain] = _mean(budgets, math.sqrt(block.patient_count))
    return found


def _budgets(plan: Plan, block: Block) -> list[VarianceBudget]:
    """Return where the variance of each difference from the reference comes from."""
    metric = METRICS[MAIN_METRIC[Task(block.task)]]
    rng = generator(plan.protocol.seed, "outlook", block.task, block.domain)
    weights = patient_weights(block.patients, RESAMPLES, rng)
    trivial = [label for label, summary in plan.methods.items() if summary.trivial]
    scored = score(
        block, metric, weights, plan.protocol, grids_of(block, trivial, crossed=plan.protocol.crossed)
    )
    budgets = []
    for cell in scored.grids:
        for other in scored.grids:
            meets = other.row == plan.protocol.reference_label and compatible(cell, other)
            if meets and cell.row != other.row and not cell.trivial:
                difference = scored.values(cell) - scored.values(other)
                if np.isfinite(difference).sum() > 1:
                    resampled = scored.resampled(cell) - scored.resampled(other)
                    budgets.append(variance_budget(difference, resampled))
    return budgets


def _mean(budgets: list[VarianceBudget], scale: float) -> Noise:
    """Return standard deviations from mean variances; those of patients per one patient."""
    mean = {
        name: math.sqrt(float(np.nan_to_num(np.mean([budget.components[name] for budget in budgets]))))
        for name in budgets[0].components
    }
    return Noise(
        subset=mean["subset"],
        seed=mean["seed"],
        subset_seed=mean["subset x seed"],
        patient=mean["case"] * scale,
        patient_training=mean["residual"] * scale,
    )
