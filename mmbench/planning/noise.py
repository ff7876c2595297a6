"""How noisy the difference of two methods is: measured in recorded runs, or assumed."""

from __future__ import annotations

import math

import numpy as np

from mmbench.analysis.rows import compatible
from mmbench.analysis.scored import grids_of, needs_both_classes, score
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
    "auroc": Noise(seed=0.02, patient=0.25, patient_training=0.10, balance=0.6),
    "dice": Noise(seed=0.01, patient=0.02, patient_training=0.02, balance=0.6),
}
"""Noise of the difference of two methods at one label budget where nothing is recorded: about what converged
trainings on the phantom show."""


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
        by_row = _budgets(plan, block)
        if by_row:
            patients = block.effective_patients(by_class=needs_both_classes(metric))
            found[metric.name, block.domain] = _mean(by_row, math.sqrt(patients))
    return found


def _budgets(plan: Plan, block: Block) -> dict[str, list[VarianceBudget]]:
    """Return where the variance of each row's difference from the reference comes from, budget by budget."""
    metric = METRICS[MAIN_METRIC[Task(block.task)]]
    rng = generator(plan.protocol.seed, "outlook", block.task, block.domain)
    weights = patient_weights(block.patients, RESAMPLES, rng)
    trivial = [label for label, summary in plan.methods.items() if summary.trivial]
    grids = grids_of(block, trivial, crossed=plan.protocol.crossed)
    scored = score(block, metric, weights, plan.protocol, grids)
    found: dict[str, list[VarianceBudget]] = {}
    for cell in scored.grids:
        for other in scored.grids:
            meets = other.row == plan.protocol.reference_label and compatible(cell, other)
            if meets and cell.row != other.row and not cell.trivial:
                difference = scored.values(cell) - scored.values(other)
                if np.isfinite(difference).sum() > 1:
                    resampled = scored.resampled(cell) - scored.resampled(other)
                    found.setdefault(cell.row, []).append(variance_budget(difference, resampled))
    return found


def _mean(by_row: dict[str, list[VarianceBudget]], scale: float) -> Noise:
    """Return standard deviations from mean variances; those of patients per one patient."""
    budgets = [budget for own in by_row.values() for budget in own]
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
        balance=float(np.mean([_balance(own) for own in by_row.values()])),
    )


def _balance(budgets: list[VarianceBudget]) -> float:
    """Return how equal the variances between trainings are over budgets, see :class:`Noise`."""
    own = np.array([np.nansum([b.subset, b.seed, b.subset_seed, b.residual]) for b in budgets])
    return float(own.sum() ** 2 / (len(own) * (own**2).sum())) if own.any() else 1.0
