"""Every benchmark, one process each, one after the other: ``python -m benchmarks.performance``, half an hour.

The training step is measured twice: with the memory settings that a worker has, and with the system's.
"""

import os
import subprocess
import sys

from mmbench.execution.local import ALLOCATION as WORKERS

BENCHMARKS = ("widths", "metrics", "commands", "data", "engine", "phantom", "statistics", "report", "workers")

IN_A_WORKER = ("data", "engine")


def main():
    """Run the benchmarks; the first that fails ends the run with its exit code."""
    runs = [
        ("step, a worker's memory settings", "step", WORKERS),
        ("step, the system's memory settings", "step", {}),
    ]
    runs += [(name, name, WORKERS if name in IN_A_WORKER else {}) for name in BENCHMARKS]
    for title, name, settings in runs:
        print(f"== {title}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "KINETO_LOG_LEVEL": "5", **settings}
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.performance.{name}"], env=environment, check=False
        )
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
