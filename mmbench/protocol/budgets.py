"""What a protocol file says of how often: label budgets and seeds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmbench.protocol.annotations import Strict, located_error, refuse_bool
from mmbench.protocol.domains import PerTask
from mmbench.protocol.vocabulary import Budget, Task, budget_order

BudgetField = Annotated[Annotated[int, Field(ge=1, le=10**9)] | Literal["full"], BeforeValidator(refuse_bool)]


class BudgetPair(PerTask):
    """Numbers of labelled images, one per task; ``full`` is the whole training part."""

    classification: BudgetField | None = None
    segmentation: BudgetField | None = None


class BudgetGrid(PerTask):
    """Every combination of the listed budgets."""

    classification: list[BudgetField] = Field(default_factory=list, max_length=50)
    segmentation: list[BudgetField] = Field(default_factory=list, max_length=50)


class Budgets(Strict):
    """Label budgets, as a full ``grid`` or as listed ``pairs``."""

    grid: BudgetGrid | None = None
    pairs: list[BudgetPair] | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.grid is None) == (self.pairs is None):
            raise ValueError("give either grid or pairs")
        return self

    def combinations(self) -> list[BudgetPair]:
        """Return the budget pairs, smallest first, each once."""
        if self.pairs is not None:
            found = self.pairs
        else:
            assert self.grid is not None
            classification: list[Budget | None] = [*self.grid.classification] or [None]
            segmentation: list[Budget | None] = [*self.grid.segmentation] or [None]
            found = [
                BudgetPair(classification=a, segmentation=b) for a in classification for b in segmentation
            ]
        unique = {(pair.classification, pair.segmentation): pair for pair in found}
        return sorted(
            unique.values(), key=lambda p: (budget_order(p.classification), budget_order(p.segmentation))
        )

    def of(self, task: Task) -> list[Budget]:
        """Return the budgets of one task, smallest first, each once."""
        found = {pair.of(task) for pair in self.combinations()} - {None}
        return sorted(found, key=budget_order)


class UntilDecided(Strict):
    """Seeds that are added until every primary comparison is decided, or hardly will be."""

    until: Literal["decided"] = "decided"
    first: Annotated[int, Field(ge=2, le=1000)] = 3
    """Seeds at the first look."""
    most: Annotated[int, Field(ge=2, le=1000)] = 20
    """Seeds at the last look."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.most:
            raise located_error(f"must not be above most, {self.most}", "first")
        return self


def _kind_of_seeds(value: Any) -> str:
    return "design" if isinstance(value, dict | UntilDecided) else "count"


SeedCount = Annotated[Annotated[int, Field(ge=1, le=1000)], BeforeValidator(refuse_bool)]
Seeds = Annotated[
    Annotated[SeedCount, Tag("count")] | Annotated[UntilDecided, Tag("design")],
    Discriminator(_kind_of_seeds),
]
