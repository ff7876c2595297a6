"""How long a report of 500 runs x 800 cases takes: ``python -m benchmarks.performance.report``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmbench.report.build import make_report
from tests.analysis.made_up import write_results

METHODS, SEEDS, CASES = 10, 10, 200
BUDGETS = ("10", "20", "40", "80", "full")


def main() -> None:
    """Write made-up records and time their report and a comparison as commands."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "large"
        write_results(
            root, [f"method {n}" for n in range(METHODS)], budgets=BUDGETS, seeds=SEEDS, cases=CASES
        )
        whole = command("report", root)
        page = root / "report" / "index.html"
        print(f"{METHODS * SEEDS * len(BUDGETS)} runs x {4 * CASES} cases")
        print(f"mmbench report      {whole:5.1f} s (goal 20), page {page.stat().st_size / 1e6:.1f} MB")
        again = command("report", root)
        print(f"nothing changed     {again:5.1f} s, {again / whole:.3f} of it")
        begin = time.perf_counter()
        make_report(root, force=True)
        print(f"in a warm process   {time.perf_counter() - begin:5.1f} s")
        pair = command("compare", "method 0", "method 1", "--results", root)
        print(f"mmbench compare     {pair:5.1f} s (goal 2)")


def command(*words: object) -> float:
    """Return the seconds that a command line takes."""
    begin = time.perf_counter()
    call = [sys.executable, "-m", "mmbench", *map(str, words)]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
