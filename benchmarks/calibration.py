"""The figures of ``docs/calibration.md``, from the recorded run: ``python -m benchmarks.calibration``."""

from pathlib import Path

import pandas as pd

from mmbench.data.phantom import DOMAINS

RECORDED = Path(__file__).parents[1] / "results" / "reference" / "cross_domain" / "cells.csv"
"""One line per run, domain and metric; recorded when a run was still called a cell."""


def summary(runs, row, metric, domain, classification=None, segmentation=None):
    """Return the mean and the standard deviation over seeds."""
    chosen = runs[(runs["row"] == row) & (runs["metric"] == metric) & (runs["domain"] == domain)]
    for column, budget in (
        ("budget_classification", classification),
        ("budget_segmentation", segmentation),
    ):
        chosen = chosen[chosen[column].isna() if budget is None else chosen[column] == budget]
    return chosen["value"].mean(), chosen["value"].std(ddof=1)


def under_label_noise(score, prevalence, noise):
    """Return the balanced accuracy measured with wrong labels, at a true sensitivity and specificity."""
    sick = prevalence * (1 - noise) + (1 - prevalence) * noise
    right_positive = prevalence * (1 - noise) / sick
    right_negative = (1 - prevalence) * (1 - noise) / (1 - sick)
    sensitivity = right_positive * score + (1 - right_positive) * (1 - score)
    specificity = right_negative * score + (1 - right_negative) * (1 - score)
    return (sensitivity + specificity) / 2


def main():
    """Print every figure."""
    runs = pd.read_csv(RECORDED, dtype={"budget_classification": str, "budget_segmentation": str})
    for row, metric, domain, target, smallest in (
        ("enc", "balanced_accuracy", "paediatric_ap", "hospital", {"classification": "40"}),
        ("unet", "dice", "adult_pa", "county", {"segmentation": "5"}),
    ):
        every = dict.fromkeys(smallest, "full")
        full = summary(runs, row, metric, domain, **every)
        few = summary(runs, row, metric, domain, **smallest)
        cross = summary(runs, row, metric, target, **every)
        print(f"{row}: {metric} {full[0]:.3f} with all labels in-domain")
        print(f"  loses {100 * (full[0] - few[0]):.1f} points with the fewest labels")
        print(f"  loses {100 * (full[0] - cross[0]):.1f} points on {target}")
        print(f"  standard deviation over seeds at most {max(full[1], few[1], cross[1]):.3f}")
        if row == "enc":
            dials = DOMAINS[target].dials
            noise = (dials.prevalence, dials.label_noise)
            print(
                f"  {target}'s label noise alone would make {under_label_noise(full[0], *noise):.3f} of it,"
            )
            print(f"  and {under_label_noise(1.0, *noise):.3f} of a perfect classifier")


if __name__ == "__main__":
    main()
