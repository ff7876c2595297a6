"""Printed numbers next to ours."""

import math
from dataclasses import replace

import pytest
from scipy import stats

from mmbench.claims.ledger import parse_ledger

# private: the rule at its boundaries, which no made-up results reach exactly
from mmbench.report.published import COLUMNS, _agreement, compare_published, published_frame
from mmbench.stats.intervals import wilson

COLUMNS_READ = "source,model,method,budget_classification,budget_segmentation,scope,dataset,cases,positives"
HEAD = f"{COLUMNS_READ},metric,value\n"


@pytest.fixture
def beside(analysis):
    def join(*rows):
        # The made-up rows carry other names than their method: as a published method's row would be shown.
        renamed = tuple(
            replace(record, cell=replace(record.cell, row="multimix"))
            if record.cell.row == "plain"
            else record
            for record in analysis.records.estimates
        )
        records = replace(analysis.records, estimates=renamed)
        claims = parse_ledger(HEAD + "".join(f"{row}\n" for row in rows), "x")
        return published_frame(compare_published(replace(analysis, records=records), claims))

    return join


def ours(analysis, **values):
    frame = analysis.estimates
    for name, value in values.items():
        frame = frame[frame[name] == value]
    (record,) = frame[frame["row"] == "plain"].to_dict("records")
    return record


def test_an_accuracy_has_the_interval_of_its_test_set(beside, analysis):
    (row,) = beside("S,MultiMix,multimix,10,10,cross-domain,chestxray14,4185,1431,accuracy,0.700").to_dict(
        "records"
    )
    own = ours(analysis, metric="accuracy", domain="hospital", budget_classification="10")
    interval = wilson(0.7 * 4185, 4185)
    assert (row["printed_low"], row["printed_high"]) == pytest.approx((interval.low, interval.high))
    assert row["difference"] == pytest.approx(own["estimate"] - 0.7)
    own_half = max(own["high"] - own["estimate"], own["estimate"] - own["low"])
    printed_half = stats.norm.ppf(0.975) * math.sqrt(0.7 * 0.3 / 4185)
    half = math.hypot(own_half, printed_half)
    assert row["difference_high"] - row["difference"] == pytest.approx(half)
    assert row["agreement"].endswith("(other data)")


def test_agreement_is_where_the_whole_interval_lies(beside, analysis):
    own = ours(analysis, metric="dice", domain="county", budget_classification="full")
    near, far = f"{own['estimate']:.3f}", f"{own['estimate'] - 0.3:.3f}"
    found = beside(
        f"S,M,multimix,full,full,cross-domain,montgomery,35,,dice,{near}",
        f"S,M2,multimix,full,full,cross-domain,montgomery,35,,dice,{far}",
    )
    # Our interval alone is wider than the margin, so that nothing can be called compatible.
    assert found["agreement"].tolist() == ["too imprecise to say (other data)", "differs (other data)"]
    assert found["printed_low"].isna().all()


def test_other_budgets_scopes_and_methods_are_not_joined(beside):
    found = beside(
        "S,M,multimix,50,full,cross-domain,montgomery,35,,dice,0.9",
        "S,M,unet,full,full,cross-domain,montgomery,35,,dice,0.9",
        "S,M,multimix,full,full,cross-domain,montgomery,35,,precision_at_k,0.9",
    )
    assert len(found) == 0
    assert list(found.columns) == list(COLUMNS)


def test_rows_with_other_hyper_parameters_are_not_the_published_method(analysis):
    claims = parse_ledger(HEAD + "S,M,multimix,full,full,cross-domain,montgomery,35,,dice,0.9\n", "x")
    assert len(compare_published(analysis, claims)) == 0


@pytest.mark.parametrize(
    ("difference", "half", "expected"),
    [
        (0.0, 0.009, "compatible"),
        (0.004, 0.006, "compatible"),
        (0.0, 0.011, "too imprecise to say"),
        (0.02, 0.015, "too imprecise to say"),
        (0.02, 0.005, "differs"),
        (0.0, math.nan, "no interval"),
    ],
)
def test_agreement_is_an_equivalence_statement(difference, half, expected):
    assert _agreement(difference, half, margin=0.01) == expected
