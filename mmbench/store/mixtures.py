"""Records that were made otherwise than others of the same table.

Data, splits and settings are part of identities. The source of the engine and of a method, the versions of
the libraries and the kind of device are not, so that a comment or an upgrade makes nothing again; a table
that mixes them says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.errors import StoreError
from mmbench.store.records import LayerName
from mmbench.store.store import ResultStore
from mmbench.text import plural

IGNORED = {"pandas"}
"""Packages whose version is recorded but computes no score."""
ABSENT = "absent"
"""Stands for a field that a record lacks; it differs from every value."""


@dataclass(frozen=True)
class Making:
    """What made a record.

    Attributes
    ----------
    layer : {'run', 'predictions', 'scores'}
        The record's.
    row : str
        The row that it belongs to.
    engine : str
        Digest of the engine's source.
    method_source, distribution : str
        Of the row's method.
    packages : mapping
        Library versions.
    device : str
        ``cpu`` or ``cuda``.
    """

    layer: LayerName
    row: str
    engine: str = ""
    method_source: str = ""
    distribution: str = ""
    packages: Mapping[str, str] | None = None
    device: str = ""


@dataclass(frozen=True)
class Mixture:
    """A field that differs between records of one table.

    Attributes
    ----------
    field : str
        The engine's source for a layer, the source of a row's method, a package, or the device.
    counts : dict of str to int
        Records by value.
    """

    field: str
    counts: Mapping[str, int]

    def __str__(self) -> str:
        values = (f"{value} ({plural(count, 'record')})" for value, count in self.counts.items())
        return f"{self.field}: {', '.join(values)}"


def making(layer: LayerName, row: str, content: Mapping[str, Any]) -> Making:
    """Return what made a record, from its JSON content."""
    environment = content.get("environment") or {}
    return Making(
        layer=layer,
        row=row,
        engine=content.get("engine", ""),
        method_source=content.get("method_source", ""),
        distribution=content.get("distribution", ""),
        packages=environment.get("packages", {}),
        device=str(environment.get("device", "")).partition(":")[0],
    )


def mixtures(makings: Iterable[Making]) -> list[Mixture]:
    """Return what differs between the makings of records; a field that one lacks counts as different."""
    found = list(makings)
    packages = sorted({name for one in found for name in one.packages or {}} - IGNORED)
    counts: dict[str, dict[str, int]] = {}
    for one in found:
        for field, value in _fields(one, packages).items():
            own = counts.setdefault(field, {})
            own[value] = own.get(value, 0) + 1
    return [Mixture(field, own) for field, own in counts.items() if len(own) > 1]


def _fields(one: Making, packages: Sequence[str]) -> dict[str, str]:
    fields = {f"engine's source for {one.layer}": one.engine[:12] or ABSENT}
    if one.layer != "scores":
        # Scores are made from stored predictions: no method and no device enters.
        fields[f"source of {one.row}"] = one.method_source[:12] or ABSENT
        fields[f"device of {one.layer}"] = one.device or ABSENT
    if one.layer == "run":
        fields[f"distribution of {one.row}"] = one.distribution or "none"
    return fields | {name: (one.packages or {}).get(name, ABSENT) for name in packages}


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
            f"{store.root}: records of one table differ in {listed}; make them again with --force run, "
            "--force predictions or --force scores, or show them together, marked, with --allow-mixed"
        )
