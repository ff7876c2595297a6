"""A run in a few small files that merge in git: what was run, on what, and every run's numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmbench.analysis.facts import row_costs, run_rows
from mmbench.analysis.results import Results, read_results
from mmbench.errors import StoreError
from mmbench.files import write_text
from mmbench.report.build import make_report

TABLES = (
    *("primary.md", "primary.csv", "main.md", "main.csv", "spread.md", "spread.csv"),
    *("comparisons.csv", "ranks.csv", "variance.csv"),
)


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
    found = read_results(results)
    missing = [run for run in found.runs if run.id not in found.finished]
    if missing:
        raise StoreError(f"{results}: {len(missing)} of {len(found.runs)} runs are missing; run them first")
    report = make_report(results)
    about = {
        "command": command,
        "protocol": found.protocol.model_dump(mode="json", exclude_defaults=True),
        "runs": len(found.runs),
        "cases": found.report.get("cases"),
        "domains": _domains(found),
        "environments": _distinct(facts.environment for facts in found.facts.values()),
        "rows": _rows(found),
    }
    texts = {
        "run.json": json.dumps(about, indent=1, sort_keys=True, allow_nan=False) + "\n",
        "runs.csv": found.summaries.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        **{name: (report.folder / "tables" / name).read_text(encoding="utf-8") for name in TABLES},
        # The records themselves are too large for git: a run's link leads to its numbers instead.
        "report.html": re.sub(
            r'href="[^"]*/run\.json"', 'href="runs.csv"', report.page.read_text(encoding="utf-8")
        ),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _distinct(values: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in sorted({json.dumps(value, sort_keys=True) for value in values})]


def _domains(results: Results) -> dict[str, dict[str, str]]:
    return {
        digest.domain: {"data": digest.data, "split": digest.split, "part": digest.part}
        for digests in results.plan.domains.values()
        for digest in digests
    }


def _rows(results: Results) -> dict[str, dict[str, float]]:
    return {
        cost.row: {
            "runs": cost.runs,
            "parameters": int(cost.parameters),
            "seconds_per_run": round(cost.seconds, 2),
            "peak_memory_mb": 0 if math.isnan(cost.peak_memory_mb) else round(cost.peak_memory_mb),
        }
        for cost in row_costs(results, run_rows(results))
    }
