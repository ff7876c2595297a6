"""What finished records lack or differ in, beside what is in a run's identity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmbench.protocol.runs import RunSpec
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    from mmbench.planning.plan import Plan

_KEPT_FILES = {"weights": "*.safetensors", "masks": "masks.npz"}


def stale_notes(store: ResultStore, runs: Iterable[RunSpec], plan: Plan) -> list[str]:
    """Return one line for each row whose finished records were made otherwise than now planned.

    A method's source is not part of a run's identity, so that a changed comment re-runs nothing; neither
    is what a record keeps. Both are worth knowing before trusting a table.
    """
    changed: dict[str, int] = {}
    lacking: dict[str, int] = {}
    for run in runs:
        summary = plan.methods[run.label]
        if store.content(run.id).get("method_source") != summary.source_digest:
            changed[run.label] = changed.get(run.label, 0) + 1
        for kind in plan.protocol.keep:
            if (kind == "masks" and "segmentation" not in run.budgets) or (
                kind == "weights" and summary.trivial
            ):
                continue
            if not any(store.folder(run.id).glob(_KEPT_FILES[kind])):
                lacking[kind] = lacking.get(kind, 0) + 1
    again = "--force trains them again"
    return [
        f"{row}: {count} finished runs were made with another version of its source; {again}"
        for row, count in changed.items()
    ] + [f"{count} finished runs hold no {kind}; {again}" for kind, count in lacking.items()]
