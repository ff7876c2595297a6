"""How long the commands that compute nothing take: ``python -m benchmarks.performance.commands``.

``status`` reads 1,000 made-up records; the second ``run`` finds quickstart's results there, which the first,
not timed, trains in about half a minute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.performance.report import command
from benchmarks.performance.step import interleaved
from tests.analysis.made_up import write_results


def main() -> None:
    """Print the median seconds of each command."""
    with tempfile.TemporaryDirectory() as folder:
        recorded, quick = Path(folder) / "recorded", Path(folder) / "quick"
        rows = [f"method {number}" for number in range(10)]
        write_results(recorded, rows, budgets=("10", "20", "40", "80", "full"), seeds=20)
        run = ("run", "quickstart", "--results", quick)
        command(*run)
        show("mmbench --help", 0.4, "--help")
        show("mmbench list methods", 0.8, "list", "methods")
        show("mmbench status, 1,000 runs", 1.0, "status", recorded)
        show("mmbench run, nothing to do", 2.0, *run)


def show(name: str, goal: float, *words: object) -> None:
    """Print the median seconds of a command."""
    (seconds,) = interleaved(lambda: command(*words))
    print(f"{name:28s} {seconds:5.2f} s (goal {goal})", flush=True)


if __name__ == "__main__":
    main()
