"""Records that were made otherwise than others of the same table.

Data, splits and settings are part of a run's identity. The source of its method and the versions of the
libraries are not, so that a comment or an upgrade re-runs nothing; a table that mixes them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmbench.errors import StoreError
from mmbench.store.store import ResultStore
from mmbench.text import plural

IGNORED = {"pandas"}
"""Packages whose version is recorded but computes no score."""


@dataclass(frozen=True)
class Mixture:
    """A field that differs between records of one table.

    Attributes
    ----------
    field : str
        A package, or the source of a row's method.
    counts : dict of str to int
        Records by value.
    """

    field: str
    counts: Mapping[str, int]

    def __str__(self) -> str:
        values = (f"{value} ({plural(count, 'run')})" for value, count in self.counts.items())
        return f"{self.field}: {', '.join(values)}"


def mixtures(records: Iterable[Mapping[str, Any]]) -> list[Mixture]:
    """Return what differs between records.

    Parameters
    ----------
    records : iterable of mapping
        As :meth:`ResultStore.content` returns them; only ``run``, ``method_source`` and ``environment``
        are looked at.
    """
    found: dict[str, dict[str, int]] = {}
    for record in records:
        values = {f"source of {record['run']['label']}": record["method_source"][:12] or "unknown"}
        packages = record["environment"]["packages"]
        values.update({name: version for name, version in packages.items() if name not in IGNORED})
        for field, value in values.items():
            counts = found.setdefault(field, {})
            counts[value] = counts.get(value, 0) + 1
    return [Mixture(field, counts) for field, counts in found.items() if len(counts) > 1]


def refuse_mixtures(store: ResultStore, found: Iterable[Mixture]) -> None:
    """Refuse to put records together that differ.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    listed = "; ".join(map(str, found))
    if listed:
        raise StoreError(
            f"{store.root}: records of one table differ in {listed}; train them again with --force, or show "
            "them together, marked, with --allow-mixed"
        )


def stored_mixtures(store: ResultStore) -> list[Mixture]:
    """Return what differs between the finished records of a store's plan."""
    finished = store.finished()
    return mixtures(store.content(run.id) for run in store.load_plan().runs if run.id in finished)
