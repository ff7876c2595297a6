"""The words that every room shares: tasks, streams, budgets."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from mmbench.deprecation import deprecate, warn


class Task(StrEnum):
    """What a method predicts for an image."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


class Stream(StrEnum):
    """One of the batches that a training step consumes."""

    LABELED_CLASSIFICATION = "labeled_classification"
    UNLABELED_CLASSIFICATION = "unlabeled_classification"
    LABELED_SEGMENTATION = "labeled_segmentation"
    UNLABELED_SEGMENTATION = "unlabeled_segmentation"
    UNLABELED_TARGET_CLASSIFICATION = "unlabeled_target_classification"
    UNLABELED_TARGET_SEGMENTATION = "unlabeled_target_segmentation"

    @property
    def task(self) -> Task:
        """The task whose source, or whose targets, the stream's images come from."""
        return Task(self.value.rsplit("_", 1)[1])

    @property
    def target(self) -> bool:
        """Whether its images are those of the targets' training parts."""
        return self.value.startswith("unlabeled_target")

    @property
    def labeled(self) -> bool:
        """Whether the stream carries labels or masks."""
        return not self.value.startswith("unlabeled")


Budget = int | Literal["full"]

CLASS_NAMES = ("normal", "pneumonia")
"""The classes of a protocol that names no others."""
STRUCTURE_NAMES = ("lungs",)
"""The structures of a protocol that names no others."""

FAMILY_PREFIX = "family:"
"""What stands before a family's name among a protocol's methods."""

DATASET_ALIASES = {"chex": "kermany", "mcu": "montgomery", "nihx": "chestxray14"}
"""Names that older protocols give to datasets, and the names they stand for."""

RENAMED_KEYS = {"draws": "subsets", "floors": "trivial_baselines"}
"""Top-level keys of older protocols, and what they are called now."""
REMOVED_KEYS = {
    ("keep", "masks"): "masks are always kept; write keep: {probabilities: true} to keep each pixel's "
    "probability",
}
"""What to say of keys that other versions had or that people try."""


_ALIASES = {
    old: deprecate(f"data set name {old!r}", repr(new), since="0.1", removal="1.0")
    for old, new in DATASET_ALIASES.items()
}


def dataset_name(name: str) -> str:
    """Return the name that a dataset goes by: what an alias stands for, which is told, or the name itself."""
    if name in _ALIASES:
        warn(_ALIASES[name])
    return DATASET_ALIASES.get(name, name)


def budget_order(budget: Budget | None) -> float:
    """Return a sort key that puts numbers in order and ``full`` last; a task not learned comes first."""
    if budget is None:
        return -1.0
    return float("inf") if budget == "full" else float(budget)
