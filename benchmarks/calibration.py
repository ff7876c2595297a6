"""The table of ``docs/calibration.md``: ``python -m benchmarks.calibration [RESULTS]``.

Trains ``enc`` and ``unet``, and no other method, as ``protocols/cross_domain.yaml`` says, with the fewest and
with all labels and three seeds, and holds their scores against the ranges that the phantom was set for.
"""

import sys
import tempfile
from pathlib import Path

from mmbench.analysis.results import read_results
from mmbench.api import run
from mmbench.data.phantom import DOMAINS
from mmbench.protocol.loading import load_protocol
from mmbench.protocol.schema import Budgets, MethodEntry

SEEDS = 3


def protocol():
    """Return ``cross_domain`` with the two methods, the two ends of its budgets, and three seeds."""
    whole = load_protocol("cross_domain")
    pairs = whole.budgets.combinations()
    return whole.model_copy(
        update={
            "name": "calibration",
            "methods": [MethodEntry(method="unet"), MethodEntry(method="enc")],
            "reference": "unet",
            "trivial_baselines": [],
            "budgets": Budgets(pairs=[pairs[0], pairs[-1]]),
            "seeds": SEEDS,
        }
    )


def main():
    """Train what is not there yet and print the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "calibration"
    asked = protocol()
    run(asked, results=folder)
    scores = read_results(folder.resolve()).summaries
    budgets = asked.budgets.combinations()
    few, full = ({task: str(pair.of(task)) for task in asked.tasks} for pair in (budgets[0], budgets[-1]))

    def mean(row, metric, domain, budget):
        own = scores[(scores["row"] == row) & (scores["metric"] == metric) & (scores["domain"] == domain)]
        return own[own[f"budget_{own['task'].iloc[0]}"] == budget]["value"].mean()

    source, target = "paediatric_ap", "hospital"
    labels = {"few": few["classification"], "full": full["classification"]}
    best = mean("enc", "balanced_accuracy", source, "full")
    lines = [
        ("`enc`, all labels, in-domain, AUROC", "0.93 to 0.975", mean("enc", "auroc", source, "full")),
        (
            f"its loss of balanced accuracy with {labels['few']} labels",
            "at least 5 points",
            100 * (best - mean("enc", "balanced_accuracy", source, labels["few"])),
        ),
        (
            f"its loss of balanced accuracy on `{target}`, all labels",
            "at least 5 points",
            100 * (best - mean("enc", "balanced_accuracy", target, "full")),
        ),
    ]
    source, target = "adult_pa", "county"
    best, masks = mean("unet", "dice", source, "full"), few["segmentation"]
    lines += [
        ("`unet`, all masks, in-domain, Dice", "0.93 to 0.97", best),
        (
            f"its loss with {masks} masks",
            "at least 2 points",
            100 * (best - mean("unet", "dice", source, masks)),
        ),
        (
            f"its loss on `{target}`, all masks",
            "at least 2 points",
            100 * (best - mean("unet", "dice", target, "full")),
        ),
    ]
    print("| | range asked for | measured |\n|---|---|---|")
    for what, wanted, value in lines:
        print(f"| {what} | {wanted} | {f'{value:.1f} points' if value > 1 else f'{value:.3f}'} |")
    noise = DOMAINS["hospital"].dials.label_noise
    print(f"\n{100 * noise:g} % of the labels that `hospital` is scored by are wrong.")


if __name__ == "__main__":
    main()
