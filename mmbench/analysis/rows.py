"""The keys of every number: a cell of the matrix, the place it is scored on, and the metric.

A cell is a method at its own label budgets, with all its runs. Two cells are compatible when no task is
learned by both from different budgets: only those are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Budget, Task, budget_order

IN_DOMAIN, CROSS_DOMAIN = SCOPES = ("in-domain", "cross-domain")
NO_BUDGET = "–"
"""Stands for the budget of a task that is not learned."""


class Budgets(NamedTuple):
    """The label budgets of both tasks as text; None for a task that is not learned."""

    classification: str | None
    segmentation: str | None

    def of(self, task: Task) -> str | None:
        """Return one task's budget."""
        return self.classification if task == Task.CLASSIFICATION else self.segmentation

    def meets(self, pair: Budgets) -> bool:
        """Whether a method with these budgets takes part at a budget pair of the protocol."""
        return all(own in (None, asked) for own, asked in zip(self, pair, strict=True))

    @property
    def text(self) -> str:
        """As it is shown: ``40/5``."""
        return "/".join(budget or NO_BUDGET for budget in self)


@dataclass(frozen=True)
class Cell:
    """One place of the matrix: a method and its label budgets, with all runs.

    Attributes
    ----------
    row, method : str
        The row's name and its method.
    classification, segmentation : str or None
        The budgets; None for a task that the method does not learn.
    trivial : bool
        Whether it is a constant predictor.
    """

    row: str
    method: str
    classification: str | None
    segmentation: str | None
    trivial: bool

    @property
    def budgets(self) -> Budgets:
        """Both budgets."""
        return Budgets(self.classification, self.segmentation)

    def budget(self, task: Task) -> str | None:
        """Return one task's budget."""
        return self.classification if task == Task.CLASSIFICATION else self.segmentation


class Place(NamedTuple):
    """What is scored where: a task on a domain."""

    in_domain: bool
    task: Task
    domain: str

    @property
    def scope(self) -> str:
        """``in-domain`` or ``cross-domain``."""
        return IN_DOMAIN if self.in_domain else CROSS_DOMAIN


@dataclass(frozen=True)
class Column:
    """A metric on a domain."""

    in_domain: bool
    domain: str
    task: Task
    metric: str

    @property
    def place(self) -> Place:
        """The task and the domain."""
        return Place(self.in_domain, self.task, self.domain)

    @property
    def scope(self) -> str:
        """``in-domain`` or ``cross-domain``."""
        return self.place.scope

    @property
    def heading(self) -> str:
        """The metric's short heading."""
        return METRICS[self.metric].heading if self.metric in METRICS else self.metric

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return self.metric not in METRICS or METRICS[self.metric].better == "higher"

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.higher_is_better else -1


def compatible(one: Cell, other: Cell) -> bool:
    """Whether two cells learn every task that both learn from the same budget."""
    first, second = (one.classification, other.classification), (one.segmentation, other.segmentation)
    return all(None in pair or pair[0] == pair[1] for pair in (first, second))


def cell_at(cells: Iterable[Cell], row: str, pair: Budgets) -> Cell | None:
    """Return a row's first cell that takes part at a budget pair."""
    return next((cell for cell in cells if cell.row == row and cell.budgets.meets(pair)), None)


def budget_pairs(protocol: Protocol) -> list[Budgets]:
    """Return the protocol's budget pairs as text, smallest first."""
    return [
        Budgets(_text(pair.classification), _text(pair.segmentation))
        for pair in protocol.budgets.combinations()
    ]


def cell_order(cell: Cell, protocol: Protocol) -> tuple[bool, int, str, float, float]:
    """Return a sort key: the protocol's rows in order, budgets from small to full, trivial baselines last."""
    listed = [entry.label for entry in protocol.methods] + list(protocol.trivial_baselines)
    position = listed.index(cell.row) if cell.row in listed else len(listed)
    first, second = (budget_order(_budget(text)) for text in cell.budgets)
    return (cell.trivial, position, cell.row, first, second)


def known_text(value: object) -> str | None:
    """Return a frame's text; None for whatever stands for a missing one."""
    return value if isinstance(value, str) else None


def _text(budget: Budget | None) -> str | None:
    return None if budget is None else str(budget)


def _budget(text: str | None) -> Budget | None:
    return None if text is None else "full" if text == "full" else int(text)
