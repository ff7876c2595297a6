"""What the analysis finds, as frozen records; :mod:`mmbench.analysis.frames` makes data frames of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from mmbench.analysis.rows import Budgets, Cell, Column, Place
from mmbench.stats.mixed import Estimate
from mmbench.stats.verdicts import Verdict


@dataclass(frozen=True)
class Against:
    """The comparison of a cell with the reference method, cell - reference.

    Attributes
    ----------
    difference, low, high : float
        Mean difference over paired trainings and its interval, in the metric's unit: that of the verdict
        where there is one, else the plain one.
    p, p_holm : float
        Of no difference, two-sided, before and after Holm's correction within metric and domain.
    family : int
        Tests corrected together.
    verdict : str or None
        None where the comparison is exploratory: another metric, or behind a primary comparison that is open.
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    family: int
    verdict: Verdict | None = None


@dataclass(frozen=True)
class CellEstimate:
    """A cell's mean of one metric on one domain.

    Attributes
    ----------
    cell, column : Cell, Column
        What was measured.
    estimate : Estimate
        Mean over trainings with its interval, in the metric's unit.
    sd : float
        Standard deviation over trainings; NaN with fewer than two.
    cases, patients : int
        Of the domain.
    runs : tuple of str
        Ids of the runs behind it.
    trivial_value : float
        The best trivial baseline; NaN without any.
    clears_trivial : bool or None
        Whether the interval of the difference from each trivial baseline, paired by trainings and cases, is
        on the good side of 0; None where that cannot be said.
    ceiling : float
        The same row with full labels; NaN without it.
    best : bool
        Whether no compatible cell has a better mean; no test.
    against : Against or None
        The comparison with the reference; None where there is none.
    tied_best : bool
        Whether it is the best, or no test of all pairs separates it from the best.
    """

    cell: Cell
    column: Column
    estimate: Estimate
    sd: float
    cases: int
    patients: int
    runs: tuple[str, ...]
    trivial_value: float
    clears_trivial: bool | None
    ceiling: float
    best: bool
    against: Against | None = None
    tied_best: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """On the cell against the reference; None without a comparison."""
        return None if self.against is None else self.against.verdict


@dataclass(frozen=True)
class Comparison:
    """Two rows at one budget pair, a - b, in one metric on one domain.

    Attributes
    ----------
    column : Column
        The metric and the domain.
    budgets : Budgets
        The budget pair at which the rows meet.
    row_a, row_b : str
        The rows.
    estimate_a, estimate_b : float
        Their means over the trainings that both have.
    difference : Estimate
        Mean difference over paired trainings, with interval and p.
    nadeau_bengio_p, signed_rank_p : float
        Two other tests over trainings.
    superiority : float
        Share of paired cases and trainings in which a is better, ties one half; NaN for pooled metrics.
    rank_biserial : float
        Matched rank-biserial correlation over cases, positive where a is better; NaN for pooled metrics.
    p_holm : float
        p corrected over all pairs of rows at these budgets; NaN before it is.
    family : int
        Tests corrected together.
    """

    column: Column
    budgets: Budgets
    row_a: str
    row_b: str
    estimate_a: float
    estimate_b: float
    difference: Estimate
    nadeau_bengio_p: float
    superiority: float
    rank_biserial: float
    signed_rank_p: float
    p_holm: float = math.nan
    family: int = 0


@dataclass(frozen=True)
class AtBudget:
    """A row against the reference at one label budget.

    Attributes
    ----------
    budgets : Budgets
        Of the tasks that both learn.
    cells : tuple of Cell
        The row's cells.
    difference : Estimate
        Row - reference, in the metric's unit.
    verdict : str or None
        None where it was not tested, because the primary comparison before it is undecided.
    """

    budgets: Budgets
    cells: tuple[Cell, ...]
    difference: Estimate
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Primary:
    """A row against the reference over all label budgets: one primary comparison.

    Attributes
    ----------
    column : Column
        The metric and the domain.
    row, reference : str
        What is compared, row - reference.
    difference : Estimate
        Mean over budgets, in the metric's unit; its interval is that of the verdict.
    margin : float
        Differences up to it do not matter.
    budgets : tuple of AtBudget
        The same at each budget.
    correlation, saved : float
        Between the two rows' trainings within budgets, and which share of the seeds that saved; NaN where
        a row does not vary.
    collapsed : tuple of str
        Ids of collapsed runs among them.
    without_collapsed : Estimate or None
        The difference without these.
    withheld : str
        Why there is no verdict whatever the numbers are, or empty.
    family : int
        How many primary comparisons are corrected together.
    level, p_verdict : float
        Two-sided level of the interval, and the family's error at which the verdict would just fall.
    verdict : str
        On the row.
    reason : str
        Why nothing could be decided, where that is not for want of precision.
    hangs : bool
        Whether the verdict would be another without the collapsed runs.
    look : int or None
        In a group-sequential run, the look at which the verdict fell, from 0.
    """

    column: Column
    row: str
    reference: str
    difference: Estimate
    margin: float
    budgets: tuple[AtBudget, ...]
    correlation: float
    saved: float
    collapsed: tuple[str, ...] = ()
    without_collapsed: Estimate | None = None
    withheld: str = ""
    family: int = 0
    level: float = math.nan
    p_verdict: float = math.nan
    verdict: Verdict = "undecided"
    reason: str = ""
    hangs: bool = False
    look: int | None = None


@dataclass(frozen=True)
class MeanRank:
    """A row's mean rank over trainings (1 is best), with its bootstrap interval and tie group."""

    column: Column
    row: str
    mean_rank: float
    low: float
    high: float
    group: str
    blocks: int
    friedman_p: float


@dataclass(frozen=True)
class RankPair:
    """Two rows and the corrected p of their signed-rank test over trainings."""

    column: Column
    row_a: str
    row_b: str
    p_holm: float


@dataclass(frozen=True)
class Clique:
    """Rows that no pairwise test separates."""

    column: Column
    rows: tuple[str, ...]


@dataclass(frozen=True)
class VariancePart:
    """One component of a cell's variance: its size, its root, and its share of all components."""

    cell: Cell
    column: Column
    component: str
    variance: float
    sd: float
    share: float


@dataclass(frozen=True, eq=False)
class Curve:
    """A cell's ROC or calibration curve.

    Attributes
    ----------
    kind : str
        ``roc`` or ``calibration``.
    cell, place : Cell, Place
        Of which method and domain.
    x, y : ndarray
        Points, in [0, 1], shape (K,).
    count : ndarray
        Trainings (ROC), or pooled cases in the bin (calibration), shape (K,).
    """

    kind: str
    cell: Cell
    place: Place
    x: np.ndarray
    y: np.ndarray
    count: np.ndarray


@dataclass(frozen=True, eq=False)
class CaseMeans:
    """Each case's Dice, or probability of pneumonia, mean over a cell's trainings.

    Attributes
    ----------
    cell, place : Cell, Place
        Of which method and domain.
    case_ids, patient_ids : ndarray
        Text, shape (N,).
    labels : ndarray
        0 or 1; NaN for segmentation, shape (N,).
    means : ndarray
        In [0, 1], shape (N,).
    """

    cell: Cell
    place: Place
    case_ids: np.ndarray
    patient_ids: np.ndarray
    labels: np.ndarray
    means: np.ndarray


@dataclass(frozen=True)
class Records:
    """Everything that is computed from per-case scores."""

    estimates: tuple[CellEstimate, ...] = ()
    primary: tuple[Primary, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    ranks: tuple[MeanRank, ...] = ()
    rank_pairs: tuple[RankPair, ...] = ()
    cliques: tuple[Clique, ...] = ()
    variance: tuple[VariancePart, ...] = ()
    curves: tuple[Curve, ...] = ()
    cases: tuple[CaseMeans, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Records]) -> Records:
        """Return the records of several parts, in order."""
        parts = list(parts)
        names = [field.name for field in fields(cls)]
        return cls(**{name: tuple(r for part in parts for r in getattr(part, name)) for name in names})
