"""``mmbench report``."""

import json
import shutil

from tests.claims.test_claims_ledger import HEAD, ROW


def test_report_writes_the_tables_again(mmbench, results):
    shutil.rmtree(results / "report")
    result = mmbench("report", "tiny")
    assert result.exit_code == 0
    assert "0.750" in result.stdout
    assert "page     results/tiny/report/index.html" in result.stdout
    assert (results / "report" / "tables" / "main.csv").is_file()
    assert (results / "report" / "index.html").stat().st_size > 10_000


def test_report_is_json_when_asked(mmbench, results):
    found = json.loads(mmbench("report", "tiny", "--json").stdout)
    rows = [row for row in found["rows"] if row["metric"] == "accuracy"]
    assert [(row["row"], row["budget_classification"], row["mean"], row["n"]) for row in rows] == [
        ("enc", "4", 0.75, 1),
        ("enc", "8", 0.75, 1),
        ("encssl", "4", 0.75, 2),
        ("encssl", "8", 0.75, 2),
        ("majority", "4", 0.75, 1),
        ("majority", "8", 0.75, 1),
    ]
    assert rows[0]["sd"] is None
    assert found["captions"]


def test_report_of_a_plan_without_records(mmbench, results):
    shutil.rmtree(results / "runs")
    result = mmbench("report", "tiny")
    assert result.exit_code == 0
    assert "no run is finished" in result.stdout
    assert json.loads(mmbench("report", "tiny", "--json").stdout)["rows"] == []


def test_tables_that_cannot_be_written_are_one_line(mmbench, results):
    (results / "report").rename(results / "elsewhere")
    (results / "report").write_text("in the way")
    refused = mmbench("report", results)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {results / 'report'}")
    assert refused.stderr.count("\n") == 1


def test_published_and_sensitivity_are_in_page_and_tables(mmbench, results, workplace):
    (workplace / "mine.csv").write_text(f"{HEAD}\n{ROW}\n")
    done = mmbench("report", "tiny", "--published", "--ledger", "mine.csv", "--sensitivity")
    assert done.exit_code == 0, done.output
    folder = results / "report"
    assert (folder / "tables" / "published.csv").read_text().startswith("model,labels,metric")
    assert (folder / "tables" / "sensitivity.csv").read_text().startswith("policy,row,metric")
    page = (folder / "index.html").read_text()
    assert 'id="published"' in page
    assert "class threshold 0.3" in page


def test_a_broken_ledger_leaves_the_report_as_it_was(mmbench, results, workplace):
    page = results / "report" / "index.html"
    before = page.read_bytes()
    (workplace / "mine.csv").write_text("model\nx\n")
    refused = mmbench("report", "tiny", "--ledger", "mine.csv")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: mine.csv: has no column 'source'")
    assert page.read_bytes() == before
    assert mmbench("report", "tiny").exit_code == 0


def test_a_report_can_be_written_elsewhere(mmbench, results, workplace):
    done = mmbench("report", "tiny", "--output", workplace / "elsewhere")
    assert done.exit_code == 0, done.output
    assert (workplace / "elsewhere" / "index.html").is_file()
