"""Verdicts on a method against itself, with real runs.

``python -m benchmarks.regrouped [PROTOCOL [FOLDER [METHODS]]]`` is an A/A test. The ``enc`` and ``unet`` of
``cross_domain`` or another protocol, or the methods named (separated by commas; the first that learns a task
stands for it), are trained with 24 seeds. The seeds are dealt at random into four rows of
six, many times over, and each deal goes through the report's own code, from blocks to verdicts. Whatever is
called better or worse is wrong. What is trained in FOLDER is not trained again.

Rows share no seed, so nothing of their luck cancels. The deals share 24 trainings per budget: their number
makes the share of wrong reports smooth, not sure.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.validity import judge, with_trainings
from mmbench.analysis.results import read_results
from mmbench.api import run
from mmbench.protocol.loading import load_protocol
from mmbench.protocol.schema import MethodEntry
from mmbench.stats.blocks import blocks

SEEDS, ROWS, DEALS = 24, 4, 500
PER_ROW = SEEDS // ROWS


def trained(name, methods, folder):
    """Train what is missing; return the protocol, and a block per domain with one method's runs."""
    protocol = load_protocol(name).model_copy(
        update={
            "methods": [MethodEntry(method=one) for one in methods],
            "reference": methods[0],
            "trivial_baselines": [],
            "seeds": SEEDS,
        }
    )
    run(protocol, results=folder)
    found = []
    for block in blocks(read_results(folder.resolve()).scores):
        learners = set(block.trainings["row"])
        stands = next(one for one in methods if one in learners)
        found.append(with_trainings(block, (block.trainings["row"] == stands).to_numpy()))
    rows = [MethodEntry(method=methods[0], name=f"row {number}") for number in range(ROWS)]
    return protocol.model_copy(update={"methods": rows, "reference": "row 0"}), found


def dealt(block, places):
    """Return a block with its seeds dealt to rows: ``places`` has each seed's place, row by row."""
    place = places[block.trainings["seed"].to_numpy()]
    numbers = place % PER_ROW
    names = [f"row {number}" for number in place // PER_ROW]
    trainings = block.trainings.assign(row=names, seed=numbers, subset=numbers)
    return replace(block, trainings=trainings)


def main():
    """Train what is missing, and print how often a verdict was wrong."""
    name = sys.argv[1] if len(sys.argv) > 1 else "cross_domain"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    methods = sys.argv[3].split(",") if len(sys.argv) > 3 else ["enc", "unet"]
    protocol, found = trained(name, methods, folder)
    rng = np.random.default_rng(0)
    wrong, wrong_primary, verdicts = 0, 0, []
    for _ in range(DEALS):
        places = rng.permutation(SEEDS)
        records, _ = judge([dealt(block, places) for block in found], rng, protocol)
        false = [record.verdict in ("better", "worse") for record in records]
        behind = [one.verdict in ("better", "worse") for record in records for one in record.budgets]
        wrong_primary += any(false)
        wrong += any([*false, *behind])
        verdicts += [record.verdict for record in records]
    counts = Counter(verdicts).most_common()
    shares = ", ".join(f"{word} {100 * count / len(verdicts):.1f} %" for word, count in counts)
    print(
        f"{', '.join(methods)}: {DEALS} deals of {SEEDS} seeds into {ROWS} rows of {PER_ROW}, "
        f"{len(verdicts) // DEALS} primary comparisons in each\n"
        f"any wrong verdict in {100 * wrong / DEALS:.1f} % of the reports "
        f"(primary comparisons alone: {100 * wrong_primary / DEALS:.1f} %)\n"
        f"primary comparisons: {shares}"
    )


if __name__ == "__main__":
    main()
