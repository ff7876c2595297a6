"""Scores at an eighth, a quarter, half, once and twice a protocol's steps.

``python -m benchmarks.convergence [PROTOCOL [FOLDER]]`` trains every method of ``cross_domain`` (or another
protocol) anew for each number of steps, since the learning rate's schedule ends with the training, with the
fewest and with all labels and two seeds. It prints the primary metrics, and by how much twice the steps move
them, with the standard error over the seeds: a protocol's steps are enough where that is at most a quarter of
the margin of equivalence. What is trained in FOLDER is not trained again.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from mmbench.analysis.results import read_results
from mmbench.api import run
from mmbench.protocol.loading import load_protocol
from mmbench.protocol.schema import Budgets

FACTORS = (1 / 8, 1 / 4, 1 / 2, 1, 2)
SEEDS = 2
KEYS = ["metric", "domain", "row", "budget_classification", "budget_segmentation"]


def trained_for(protocol, factor):
    """Return a protocol with so many times its steps, the ends of its budgets, and two seeds."""
    training = protocol.training
    schedule = training.schedule.model_copy(update={"warmup": round(training.schedule.warmup * factor)})
    pairs = protocol.budgets.combinations()
    return protocol.model_copy(
        update={
            "training": training.model_copy(
                update={"steps": max(1, round(training.steps * factor)), "schedule": schedule}
            ),
            "budgets": Budgets(pairs=[pairs[0], pairs[-1]]),
            "trivial_baselines": [],
            "seeds": SEEDS,
        }
    )


def scores_by_steps(protocol, folder):
    """Train what is missing; return the primary metrics, a row per score, a column per steps and seed."""
    columns = {}
    for factor in reversed(FACTORS):
        asked = trained_for(protocol, factor)
        results = folder / f"{asked.training.steps}"
        run(asked, results=results)
        scores = read_results(results.resolve()).summaries
        kept = scores[scores["metric"].isin(protocol.statistics.primary)]
        for seed, values in kept.groupby("seed"):
            columns[asked.training.steps, seed] = values.set_index(KEYS)["value"]
    return pd.DataFrame(columns).sort_index(axis=1)


def main():
    """Train what is missing and print the table."""
    name = sys.argv[1] if len(sys.argv) > 1 else "cross_domain"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    protocol = load_protocol(name)
    table = scores_by_steps(protocol, folder)
    steps = protocol.training.steps
    change = table[2 * steps] - table[steps]
    moved, error = change.mean(axis=1), change.sem(axis=1)
    means = table.T.groupby(level=0).mean().T
    bound = protocol.statistics.equivalence / 4
    print("| metric | domain | method | labels | " + " | ".join(f"{s} steps" for s in means) + " | twice |")
    print("|---|---|---|---|" + "---:|" * (len(means.columns) + 1))
    for key, values in means.iterrows():
        metric, domain, row, *budgets = key
        labels = "/".join(text if isinstance(text, str) else "–" for text in budgets)
        shown = " | ".join(f"{value:.3f}" for value in values)
        twice = f"{moved[key]:+.4f} ± {error[key]:.4f}" + ("" if abs(moved[key]) <= bound else " *")
        print(f"| {metric} | {domain} | {row} | {labels} | {shown} | {twice} |")
    over = moved.abs() > bound
    surely = moved.abs() - 2 * error > bound
    print(
        f"\n{over.sum()} of {len(table)} scores move by more than {bound:g} (*) with twice the steps, "
        f"{surely.sum()} of them by more than two standard errors beyond it; on average over the methods:"
    )
    for (metric, domain), values in change.groupby(level=["metric", "domain"]):
        by_seed = values.mean()
        print(f"- {metric}, {domain}: {by_seed.mean():+.4f} ± {by_seed.sem():.4f}")


if __name__ == "__main__":
    main()
