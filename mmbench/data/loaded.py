"""Data sets as a protocol sees them, loaded once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mmbench.data.catalogue import load_dataset
from mmbench.data.dataset import Dataset
from mmbench.protocol.schema import DatasetChoice, Protocol
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task


def cached_dataset(choice: DatasetChoice, protocol: Protocol, task: Task, data_root: Path | None) -> Dataset:
    """Return a data set as the protocol sees it in a role.

    The protocol's classes are asked of what is classified, its structures of what is segmented.

    Parameters
    ----------
    choice : DatasetChoice
        One of the protocol's sources or targets.
    protocol : Protocol
        Gives the image size, the seed, the classes and the structures.
    task : Task
        The role.
    data_root : Path or None
        Folder of the real data sets.
    """
    return _dataset(
        choice.model_dump_json(),
        protocol.image_size,
        protocol.seed,
        protocol.classes if task is Task.CLASSIFICATION else CLASS_NAMES,
        protocol.structures if task is Task.SEGMENTATION else STRUCTURE_NAMES,
        data_root,
    )


def forget() -> None:
    """Load every data set anew from now on: a long-lived process plans from what is there now."""
    _dataset.cache_clear()


@lru_cache(maxsize=64)
def _dataset(
    choice: str,
    image_size: int,
    seed: int,
    classes: tuple[str, ...],
    structures: tuple[str, ...],
    data_root: Path | None,
) -> Dataset:
    return load_dataset(
        DatasetChoice.model_validate_json(choice),
        image_size=image_size,
        seed=seed,
        data_root=data_root,
        classes=classes,
        structures=structures,
    )
