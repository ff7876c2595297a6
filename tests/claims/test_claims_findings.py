"""What the publication's numbers say about each other."""

import pytest

from mmbench.claims.findings import check_claims
from mmbench.claims.ledger import load_ledger, parse_ledger


@pytest.fixture(scope="module")
def findings():
    return check_claims(load_ledger())


def one(findings, check, scope, model="", source="Table 2"):
    (found,) = [
        f
        for f in findings
        if check in f.check and f.scope == scope and f.model == model and source in f.source
    ]
    return found


def test_every_cross_domain_accuracy_is_below_always_normal(findings):
    found = one(findings, "below the majority class alone (0.658)", "cross-domain")
    assert (found.found, found.total) == (33, 33)


def test_20_of_33_f1_are_all_positives(findings):
    found = one(findings, "F1-P within 0.006 of all-positive (0.510)", "cross-domain")
    assert (found.found, found.total) == (20, 33)


def test_every_umtl_row_prints_a_dice_below_its_jaccard(findings):
    found = one(findings, "Dice below its Jaccard", "in-domain", "UMTL", "upplement")
    assert (found.found, found.total) == (9, 9)


@pytest.mark.parametrize(("scope", "count"), [("in-domain", 14), ("cross-domain", 7)])
def test_triples_that_fit_no_confusion_matrix(findings, scope, count):
    found = one(findings, "fit no confusion matrix, two decimals allowed", scope)
    assert (found.found, found.total) == (count, 33)
    strict = [f for f in findings if f.check.endswith("fit no confusion matrix") and f.scope == scope]
    assert all(f.found >= count for f in strict if "Table 2" in f.source)


def test_a_ledger_without_such_numbers_has_no_such_finding():
    text = (
        "source,model,scope,dataset,cases,metric,value\n"
        "S,M,in-domain,jsrt,10,dice,0.900\nS,M,in-domain,jsrt,10,jaccard,0.950\n"
    )
    found = check_claims(parse_ledger(text, "x"))
    assert [(f.check, f.found, f.total, f.rows) for f in found if f.found] == [
        ("Dice below its Jaccard", 1, 1, ["M –/–"])
    ]
    assert not any("confusion" in f.check for f in found)
