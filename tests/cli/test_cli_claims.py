"""``mmbench claims``."""

import json

from tests.claims.test_claims_ledger import HEAD, ROW


def test_the_known_findings_are_a_table(mmbench):
    done = mmbench("claims", "check")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert any(line[-2:] == ["33", "33"] and "(0.658)" in line for line in lines)
    assert any(line[-2:] == ["20", "33"] and "(0.510)" in line for line in lines)
    assert any(line[-2:] == ["9", "9"] and line[0] == "UMTL:" for line in lines)
    assert any(line[-2:] == ["14", "33"] for line in lines)
    assert any(line[-2:] == ["7", "33"] for line in lines)


def test_every_check_is_in_the_json_with_its_rows(mmbench):
    found = json.loads(mmbench("claims", "check", "--json").stdout)
    umtl = next(f for f in found if f["model"] == "UMTL" and f["check"].startswith("Dice below"))
    assert len(umtl["rows"]) == umtl["found"] == 9
    assert any(f["found"] == 0 for f in found)


def test_another_papers_ledger_is_checked_alone(mmbench, workplace):
    (workplace / "mine.csv").write_text(f"{HEAD}\n{ROW}\n{ROW.replace('dice,0.912', 'jaccard,0.950')}\n")
    done = mmbench("claims", "check", "mine.csv")
    assert done.exit_code == 0, done.output
    assert "Dice below its Jaccard" in done.stdout
    assert "ISBI" not in done.stdout


def test_the_ledger_can_be_listed(mmbench):
    assert "ISBI 2021 Table 2" in mmbench("claims", "list").stdout
    assert len(json.loads(mmbench("claims", "list", "--json").stdout)) == 1260


def test_a_broken_ledger_is_one_line(mmbench, workplace):
    (workplace / "mine.csv").write_text(f"{HEAD}\n{ROW.replace('0.912', 'high')}\n")
    refused = mmbench("claims", "check", "mine.csv")
    assert refused.exit_code == 2
    assert "mine.csv line 2: value 'high' is not a number" in refused.stderr
    assert refused.stderr.count("\n") == 1
