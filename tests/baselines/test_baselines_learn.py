"""With every label, each method is better than the trivial baselines of its tasks."""

import pytest

import mmbench
from mmbench.planning.methods import with_families
from mmbench.plugins.discovery import discover
from mmbench.protocol.loading import parse_protocol

PROTOCOL = """
name: learn
sources:
  classification:
    {dataset: phantom:paediatric_ap, cases: 500, split: {train: 300, validation: 50, test: 150}}
  segmentation: {dataset: phantom:adult_pa, cases: 140, split: {train: 80, validation: 20, test: 40}}
targets:
  classification: [{dataset: phantom:hospital, cases: 60, part: test}]
  segmentation: [{dataset: phantom:county, cases: 60, part: test}]
budgets: {pairs: [{classification: full, segmentation: full}]}
methods:
  - family:supervised
  # With a frozen encoder of random weights there is nothing to learn from: its rows need weights.
  - {method: foundation, hyperparameters: {adapt: full}}
  - family:semi-supervised-classification
  - family:semi-supervised-segmentation
  # Averages of the published decay need more steps than there are here.
  - {method: mean_teacher, hyperparameters: {decay: 0.9}}
  - {method: ua_mt, hyperparameters: {decay: 0.9, passes: 2}}
  - family:semi-supervised
  - family:multitask
  - family:domain-generalization
  - family:domain-adaptation
  - family:test-time-adaptation
trivial_baselines: [prevalence, mean_mask]
reference: umtl
backbone: {name: paper_unet, width: 0.25, depth: 4, norm: batch, dropout: 0.0}
image_size: 32
training:
  steps: 100
  batch_size: 10
  validations: 10
  optimizer: {name: adam, learning_rate: 0.01}
  schedule: {name: cosine, warmup: 10}
"""


@pytest.mark.slow
def test_every_method_learns(tmp_path):
    protocol = parse_protocol(PROTOCOL)
    summary = mmbench.run(protocol, results=tmp_path / "results", jobs=1, report=False)
    assert summary.failed == {}
    scores = mmbench.load_scores(tmp_path / "results")
    inside = scores[scores["in_domain"]]
    dice = inside[inside["task"] == "segmentation"].groupby("row")["dice"].mean()
    labelled = inside[inside["task"] == "classification"].groupby("row")
    auroc = labelled[["label", "probability"]].apply(
        lambda own: _auroc(own["probability"][own["label"] == 1], own["probability"][own["label"] == 0])
    )
    methods = {entry.label for entry in with_families(protocol, discover()).methods}
    assert set(dice.index) | set(auroc.index) == methods | {"prevalence", "mean_mask"}
    assert {
        row: value for row, value in dice.items() if value <= dice["mean_mask"] and row != "mean_mask"
    } == {}
    assert {row: value for row, value in auroc.items() if value <= 0.6 and row != "prevalence"} == {}


def _auroc(positive, negative):
    """Return the share of pairs that are ranked rightly."""
    pairs = [(one > other) + 0.5 * (one == other) for one in positive for other in negative]
    return sum(pairs) / len(pairs)
