"""What tuning chose, what it gained, and what fewer trials would have reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from mmbench.analysis.results import Results
from mmbench.analysis.rows import Budgets
from mmbench.protocol.vocabulary import Task
from mmbench.store.tuned import Tried, Tuned, shown

FEWER = (1, 4, 16)
"""Numbers of trials whose expected best score is told."""


@dataclass(frozen=True)
class TuningRow:
    """One row of the benchmark at one pair of label budgets; scores are of validation cases of the source.

    Attributes
    ----------
    row : str
        Its name.
    budgets : Budgets
        Label budgets.
    trials, pruned, failed : int
        Trainings, and how many of them ended early or with an error.
    seconds : float
        Training time of all trials.
    validation : str
        How many cases scored a trial, by task.
    chosen : str
        The values that were best.
    defaults, score, gain : float
        The score of the defaults, the best score, and their difference; NaN where the defaults have none.
    expected : tuple of float
        The expected best score of so many trials as :data:`FEWER` says, the defaults being the first; NaN
        where there were fewer, or values were not drawn independently.
    """

    row: str
    budgets: Budgets
    trials: int
    pruned: int
    failed: int
    seconds: float
    validation: str
    chosen: str
    defaults: float
    score: float
    gain: float
    expected: tuple[float, ...]


def tuning_of(results: Results) -> tuple[TuningRow, ...]:
    """Return one record per row and pair of label budgets that was tuned."""
    return tuple(_row(Tuned.model_validate(one)) for one in results.report.get("tuning", ()))


def _row(tuned: Tuned) -> TuningRow:
    states = [trial.state for trial in tuned.trials if trial.state != "missing"]
    scores = [_score(trial) for trial in tuned.trials]
    values = ", ".join(f"{name} {shown(value)}" for name, value in tuned.best.values.items())
    cases = ", ".join(f"{task.value} {count}" for task, count in tuned.validation.items())
    independent = tuned.sampler == "random"
    return TuningRow(
        row=tuned.row,
        budgets=Budgets(*(None if (b := tuned.budgets.get(task)) is None else str(b) for task in Task)),
        trials=len(states),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        seconds=math.fsum(trial.seconds for trial in tuned.trials),
        validation=cases,
        chosen=f"defaults ({values})" if tuned.chosen == 0 else values,
        defaults=scores[0],
        score=scores[tuned.chosen],
        gain=scores[tuned.chosen] - scores[0],
        expected=tuple(expected_best(scores, count) if independent else math.nan for count in FEWER),
    )


def _score(trial: Tried) -> float:
    """Return the score of a whole trial; NaN for one that could not be chosen."""
    return math.nan if trial.state != "complete" or trial.score is None else float(trial.score)


def expected_best(scores: Sequence[float], count: int) -> float:
    """Return the expected best score of the first trial and ``count`` - 1 of the others.

    Over all subsets of the others, without replacement: with u_1 <= ... <= u_M, the largest of m has the
    expectation sum of u_i C(i - 1, m - 1) / C(M, m) (Tang et al. 2020, "Showing Your Work Doesn't Always
    Work"), here of u_i = max(score of the first, score of i).

    Parameters
    ----------
    scores : sequence of float
        Of the first trial, the defaults, and of the others, drawn independently; NaN for one that ended early
        or with an error, and so is never chosen.
    count : int
        From 1.

    Returns
    -------
    float
        NaN where there are fewer trials, or the first has no score.
    """
    first, others = scores[0], np.asarray(scores[1:], dtype=float)
    if count > len(scores) or math.isnan(first):
        return math.nan
    if count == 1:
        return first
    gains = np.sort(np.fmax(others, first)) - first
    below = np.arange(len(gains))
    return first + float((gains * comb(below, count - 2)).sum() / comb(len(gains), count - 1))
