"""How a run scales with its workers: ``python -m benchmarks.performance.workers``, a quarter of an hour.

A third of ``cross_domain`` (its first seed) by two workers and by one, then the whole of it by two. Each run
is the command that a user types, from an empty results folder to the report.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.performance.report import command


def main() -> None:
    """Print the seconds of each run, the ratio of the first two, and the largest memory of a worker."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [("seed 0", 2, ("--only", "seed=0")), ("seed 0", 1, ("--only", "seed=0")), ("whole", 2, ())]
        seconds = []
        for number, (what, jobs, words) in enumerate(asked):
            results = Path(folder) / str(number)
            seconds.append(command("run", "cross_domain", *words, "--jobs", jobs, "--results", results))
            runs = [json.loads(path.read_text()) for path in results.glob("runs/*/run.json")]
            peak = max(run["peak_memory_mb"] for run in runs)
            print(
                f"cross_domain, {what}, workers: {jobs}: {len(runs)} runs in {seconds[-1]:.0f} s,"
                f" peak of a worker {peak:.0f} MB (goal 1200)",
                flush=True,
            )
        print(f"two workers against one: {seconds[1] / seconds[0]:.2f}x (goal 1.8x)")
        print(f"the whole protocol: {seconds[2] / 60:.1f} min (goal 7)")


if __name__ == "__main__":
    main()
