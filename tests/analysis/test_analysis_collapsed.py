"""Runs that did not learn are named, with the reason."""

import pandas as pd

from mmbench.analysis.collapsed import collapsed_runs
from mmbench.protocol.loading import parse_protocol

PROTOCOL = parse_protocol(
    'name: a\nsources: {segmentation: "phantom:adult_pa"}\nbudgets: {pairs: [{segmentation: full}]}\n'
    "methods: [unet]\n"
)


def frame(values, trivial=0.7):
    rows = [("unet", f"u{seed}", seed, value) for seed, value in enumerate(values)]
    rows.append(("mean_mask", "m0", 0, trivial))
    return pd.DataFrame(
        [
            {
                "run": run, "row": row, "budget_classification": None, "budget_segmentation": "full",
                "subset": seed, "seed": seed, "in_domain": True, "metric": "dice", "value": value,
            }
            for row, run, seed, value in rows
        ]
    )  # fmt: skip


def causes(values, changes=None):
    found = collapsed_runs(frame(values), PROTOCOL, ["mean_mask"], changes)
    return {one.run: one.cause for one in found}


def test_a_run_at_the_trivial_baseline_has_collapsed():
    assert causes([0.91, 0.69]) == {"u1": "no better than a trivial baseline (0.700)"}


def test_an_outlier_needs_margins_deviations_and_enough_trainings():
    assert causes([0.91, 0.912, 0.908, 0.80]) == {"u3": "an outlier (median 0.909)"}
    assert causes([0.91, 0.912, 0.908, 0.88]) == {}
    assert causes([0.91, 0.912, 0.80]) == {}
    assert causes([0.75, 0.95, 0.85, 0.80]) == {}


def test_a_loss_that_did_not_move_is_a_collapse():
    assert causes([0.91, 0.92], {"u0": 0.001, "u1": 0.5}) == {"u0": "its loss did not move"}
