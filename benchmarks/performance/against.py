"""A training step against another commit's: ``python -m benchmarks.performance.against COMMIT [METHOD…]``.

Each commit computes in a process of its own, one thread, and the two take turns. The setting is the phantom
protocols': 48 px, a quarter of the width, 10 images per stream, and MultiMix where no method is named. First
the losses of some steps are compared, from the same weights and images and without dropout, whose random
numbers two commits may draw in another order. Only the first steps can be: Adam divides small gradients by
their size, so that rounding errors soon are as large as steps.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, STEPS, COMPARED, DROPOUT = 30, 4, 2, 0.25
ROOT = Path(__file__).parents[2]


def main():
    """Print the seconds of both steps, their ratio, and how far the losses are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="of this repository, such as 6a67cb4")
    parser.add_argument("methods", nargs="*", default=["multimix"])
    asked = parser.parse_args()
    commit = asked.commit
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "checkout"
        subprocess.run(["git", "worktree", "add", "--detach", str(other), commit], cwd=ROOT, check=True)
        try:
            for method in asked.methods:
                compare(other, Path(folder) / f"{method}.pt", commit, method)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)


def compare(other, weights, commit, method):
    """Let the two take turns."""
    ours, theirs = (start(checkout, weights, method) for checkout in (ROOT, other))
    found = [turn(process, COMPARED, 0.0) for process in (ours, theirs)]
    apart = max(abs(a - b) for a, b in zip(*(losses for _, losses in found), strict=True))
    for process in (ours, theirs):
        turn(process, STEPS, DROPOUT)
    seconds = [[], []]
    for _ in range(ROUNDS):
        for process, measured in zip((ours, theirs), seconds, strict=True):
            measured.append(turn(process, STEPS, DROPOUT)[0])
    for process in (ours, theirs):
        process.stdin.close()
        process.wait()
    now, then = (1000 * statistics.median(measured) / STEPS for measured in seconds)
    print(
        f"{method}: {commit} {then:.1f} ms, this {now:.1f} ms a step: {then / now:.2f}x "
        f"(medians of {ROUNDS} rounds); "
        f"losses of {COMPARED} steps without dropout agree to {apart:.1e}"
    )


def start(checkout, weights, method):
    """Start the process that trains with a checkout's code; the first one writes the weights."""
    package = checkout / "mmbench" / "baselines"
    linked = checkout != ROOT
    if linked and not package.exists():  # as the build configuration maps it
        package.symlink_to(checkout / "baselines")
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__.replace("against", "served"), str(weights), method],
        cwd=checkout,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    return process


def turn(process, steps, dropout):
    """Have a process train some steps; return its seconds and losses."""
    begin = time.perf_counter()
    process.stdin.write(f"{steps} {dropout}\n")
    process.stdin.flush()
    losses = [float(value) for value in process.stdout.readline().split()]
    return time.perf_counter() - begin, losses


if __name__ == "__main__":
    main()
