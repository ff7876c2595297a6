"""A run in a few small files that merge in git: what was run, on what, and every run's numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmbench.errors import StoreError
from mmbench.files import write_text
from mmbench.report.build import make_report
from mmbench.store.frames import summaries
from mmbench.store.record import RunRecord
from mmbench.store.store import ResultStore

TABLES = ("main.md", "main.csv", "spread.md", "spread.csv", "comparisons.csv", "ranks.csv", "variance.csv")


def write_reference(results: Path, folder: Path, command: str) -> list[Path]:
    """Write a finished run's summary to ``folder``.

    ``run.json`` holds the command, the protocol, the data and split digests, the environments and the time
    and memory of each row; ``runs.csv`` one number per run, domain and metric; the others are the
    report's tables and its page.

    Parameters
    ----------
    results : Path
        The results folder.
    folder : Path
        Where to write; made if it is not there.
    command : str
        The command that made the results.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StoreError
        If runs are missing, or a record is damaged.
    """
    store = ResultStore(results)
    plan = store.load_plan()
    missing = [run.describe() for run in plan.runs if run.id not in store.finished()]
    if missing:
        raise StoreError(f"{results}: {len(missing)} of {len(plan.runs)} runs are missing; run them first")
    records = [store.read(run.id) for run in plan.runs]
    report = make_report(results)
    about = {
        "command": command,
        "protocol": plan.protocol.model_dump(mode="json", exclude_defaults=True),
        "runs": len(records),
        "cases": plan.report.get("case_counts"),
        "domains": _domains(records),
        "environments": _distinct(record.environment.model_dump(mode="json") for record in records),
        "rows": _rows(records),
    }
    texts = {
        "run.json": json.dumps(about, indent=1, sort_keys=True, allow_nan=False) + "\n",
        "runs.csv": summaries(store).to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        **{name: (report.folder / "tables" / name).read_text(encoding="utf-8") for name in TABLES},
        # The records themselves are too large for git: a run's link leads to its numbers instead.
        "report.html": re.sub(
            r'href="[^"]*/run\.json"', 'href="runs.csv"', report.page.read_text(encoding="utf-8")
        ),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _distinct(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in sorted({json.dumps(value, sort_keys=True) for value in values})]


def _domains(records: list[RunRecord]) -> dict[str, dict[str, str]]:
    found = {}
    for record in records:
        for digests in record.run.targets.values():
            for digest in digests:
                found[digest.domain] = {"data": digest.data, "split": digest.split, "part": digest.part}
    return found


def _rows(records: list[RunRecord]) -> dict[str, dict[str, float]]:
    rows: dict[str, list[RunRecord]] = {}
    for record in records:
        rows.setdefault(record.run.label, []).append(record)
    return {
        label: {
            "runs": len(own),
            "parameters": own[0].parameters,
            "seconds_per_cell": round(sum(record.seconds["total"] for record in own) / len(own), 2),
            "peak_memory_mb": round(max(record.peak_memory_mb or 0 for record in own)),
        }
        for label, own in rows.items()
    }
