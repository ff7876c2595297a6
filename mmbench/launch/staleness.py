"""What finished records lack or differ in, beside what is in a cell's identity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmbench.protocol.cells import Cell
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.launch.plan import Plan

_KEPT_FILES = {"weights": "*.safetensors", "masks": "masks.npz"}


def stale_notes(store: ResultStore, cells: Iterable[Cell], plan: Plan) -> list[str]:
    """Return one line for each row whose finished records were made otherwise than now planned.

    A method's source is not part of a cell's identity, so that a changed comment re-runs nothing; neither
    is what a record keeps. Both are worth knowing before trusting a table.
    """
    changed: dict[str, int] = {}
    lacking: dict[str, int] = {}
    for cell in cells:
        summary = plan.methods[cell.label]
        if store.content(cell.id).get("method_source") != summary.source_digest:
            changed[cell.label] = changed.get(cell.label, 0) + 1
        for kind in plan.protocol.keep:
            if (kind == "masks" and "segmentation" not in cell.budgets) or (
                kind == "weights" and summary.floor
            ):
                continue
            if not any(store.folder(cell.id).glob(_KEPT_FILES[kind])):
                lacking[kind] = lacking.get(kind, 0) + 1
    again = "--force trains them again"
    return [
        f"{row}: {count} finished cells were made with another version of its source; {again}"
        for row, count in changed.items()
    ] + [f"{count} finished cells hold no {kind}; {again}" for kind, count in lacking.items()]
