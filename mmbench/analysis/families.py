"""The strongest row of each family of methods, by validation cases of the sources."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mmbench.analysis.convergence import Convergence
from mmbench.analysis.facts import RowCost


@dataclass(frozen=True)
class FamilyBest:
    """A family and the row that stands for it.

    Attributes
    ----------
    family, row : str
        Its name, and the row with the best validation scores.
    rows : int
        How many rows it was chosen from.
    tied : tuple of str
        Others with the same scores, as rows that are trained alike and differ only when they predict.
    score : float
        The mean of its validation scores over metrics; NaN where it is the only row and has none.
    """

    family: str
    row: str
    rows: int
    tied: tuple[str, ...]
    score: float


def strongest(
    rows: Iterable[RowCost], validated: Iterable[Convergence], trivial: Collection[str], tasks: int
) -> list[FamilyBest]:
    """Return the strongest row of each family that has one which learns every task.

    The mean over metrics of the validation scores at the end of the trainings decides, never a test score:
    the best of several by what it is then shown by would look better than it is.

    Parameters
    ----------
    rows : iterable of RowCost
        Every row with its family; rows without one are left out.
    validated : iterable of Convergence
        Validation scores by row and metric.
    trivial : collection of str
        Rows that are constant predictors.
    tasks : int
        How many tasks the protocol has.
    """
    scores: dict[str, list[float]] = {}
    for one in validated:
        scores.setdefault(one.row, []).append(one.score)
    by_family: dict[str, list[str]] = {}
    for row in rows:
        if row.family and row.row not in trivial and len(row.tasks.split(" and ")) == tasks:
            by_family.setdefault(row.family, []).append(row.row)
    found = []
    for family, members in by_family.items():
        means = {row: math.fsum(scores[row]) / len(scores[row]) for row in members if row in scores}
        best = max(means, key=lambda row: means[row], default=members[0])
        tied = tuple(row for row in means if row != best and means[row] == means[best])
        if means or len(members) == 1:
            found.append(FamilyBest(family, best, len(members), tied, means.get(best, math.nan)))
    return found
