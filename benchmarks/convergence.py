"""Scores at an eighth, a quarter, half, once and twice a protocol's steps.

``python -m benchmarks.convergence [PROTOCOL [FOLDER]]`` trains every method of ``cross_domain`` (or another
protocol) anew for each number of steps, since the learning rate's schedule ends with the training, with the
fewest and with all labels and two seeds. It prints the primary metrics, and by how much twice the steps move
them: a protocol's steps are enough where that is at most a quarter of the margin of equivalence. What is
trained in FOLDER is not trained again.
"""

import sys
import tempfile
from pathlib import Path

from mmbench.analysis.results import read_results
from mmbench.api import run
from mmbench.protocol.loading import load_protocol
from mmbench.protocol.schema import Budgets

FACTORS = (1 / 8, 1 / 4, 1 / 2, 1, 2)
SEEDS = 2


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


def main():
    """Train what is missing and print the table."""
    name = sys.argv[1] if len(sys.argv) > 1 else "cross_domain"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    protocol = load_protocol(name)
    means = {}
    for factor in FACTORS:
        asked = trained_for(protocol, factor)
        results = folder / f"{asked.training.steps}"
        run(asked, results=results)
        scores = read_results(results.resolve()).summaries
        kept = scores[scores["metric"].isin(protocol.statistics.primary)]
        keys = ["metric", "domain", "row", "budget_classification", "budget_segmentation"]
        means[asked.training.steps] = kept.groupby(keys, dropna=False, sort=False)["value"].mean()
    table = means[protocol.training.steps].to_frame("now")[[]]
    for steps, values in means.items():
        table[steps] = values
    steps = protocol.training.steps
    table["moved"] = table[2 * steps] - table[steps]
    bound = protocol.statistics.equivalence / 4
    print("| metric | domain | method | labels | " + " | ".join(f"{s} steps" for s in means) + " | twice |")
    print("|---|---|---|---|" + "---:|" * (len(means) + 1))
    for (metric, domain, row, *budgets), values in table.iterrows():
        labels = "/".join(text if isinstance(text, str) else "–" for text in budgets)
        shown = " | ".join(f"{values[s]:.3f}" for s in means)
        mark = "" if abs(values["moved"]) <= bound else " *"
        print(f"| {metric} | {domain} | {row} | {labels} | {shown} | {values['moved']:+.4f}{mark} |")
    over = int((table["moved"].abs() > bound).sum())
    print(f"\\n{over} of {len(table)} scores move by more than {bound:g} (*) with twice the steps.")


if __name__ == "__main__":
    main()
