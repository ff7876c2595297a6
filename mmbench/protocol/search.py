"""What a tuned hyper-parameter may be: annotations of a method's hyper-parameters, and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel

Space = dict[str, Any]
"""A range or a choice as JSON: ``{low, high, log}`` or ``{values}``."""


@dataclass(frozen=True)
class Range:
    """Numbers that a hyper-parameter may be tuned over: ``confidence: Annotated[float, Range(0.5, 0.99)]``.

    Attributes
    ----------
    low, high : float
        Both ends belong to it.
    log : bool
        Whether its logarithm is drawn evenly, as for weights and rates.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self} is no range: low must be below high, and above 0 where log is set")


@dataclass(frozen=True)
class Choice:
    """Values that a hyper-parameter may be tuned over: ``adapt: Annotated[str, Choice(("probe", "full"))]``.

    Attributes
    ----------
    values : tuple
        Strings, numbers or truth values.
    """

    values: tuple[str | float | bool, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2:
            raise ValueError(f"{self} is no choice: give at least two values")


def search_space(hyperparameters: type[BaseModel]) -> dict[str, Space]:
    """Return the ranges and choices that a method's hyper-parameters are annotated with, by name."""
    return {
        name: asdict(mark)
        for name, field in hyperparameters.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Range | Choice)
    }


def contains(space: Space, value: Any) -> bool:
    """Whether a value lies in a range or is one of a choice."""
    if "values" in space:
        return value in space["values"]
    return isinstance(value, int | float) and space["low"] <= value <= space["high"]
