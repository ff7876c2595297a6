"""``mmbench report --reference``."""

import json

import pandas as pd
import pytest

from mmbench.api import run_plan
from mmbench.execution.devices import Placement
from mmbench.execution.local import LocalExecutor
from tests.execution import fake_work


@pytest.fixture
def complete(workplace):
    folder = workplace / "results" / "tiny"
    executor = LocalExecutor(["cpu", "cpu"], function="tests.execution.fake_work:record")
    run_plan(fake_work.tiny_plan(), folder, Placement(("cpu",), 1), executor=executor)
    return folder


def test_a_complete_run_is_summarised(mmbench, complete, workplace):
    folder = workplace / "reference"
    done = mmbench("report", complete, "--reference", folder, "--command", "make bench")
    assert done.exit_code == 0, done.output
    about = json.loads((folder / "run.json").read_text())
    plan = json.loads((complete / "plan.json").read_text())
    assert about["command"] == "make bench"
    assert about["runs"] == len(plan["runs"])
    assert sum(row["runs"] for row in about["rows"].values()) == about["runs"]
    assert about["environments"][0]["python"]
    runs = pd.read_csv(folder / "runs.csv")
    records = [json.loads(path.read_text()) for path in complete.glob("scores/*/scores.json")]
    for record in records:
        for metric, value in record["metrics"].items():
            found = runs[
                (runs["run"] == record["run"])
                & (runs["domain"] == record["domain"]["domain"])
                & (runs["task"] == record["task"])
                & (runs["metric"] == metric)
            ]
            assert len(found) == 1
            assert value is None or found["value"].item() == pytest.approx(value, rel=1e-5)
    for name in ("main.md", "spread.md", "comparisons.csv"):
        assert (folder / name).read_text() == (complete / "report" / "tables" / name).read_text()
    page = (folder / "report.html").read_text()
    assert "run.json" not in page
    assert page.count('href="runs.csv"') == len(plan["runs"])


def test_an_incomplete_run_is_refused_and_nothing_is_written(mmbench, results, workplace):
    refused = mmbench("report", results, "--reference", workplace / "reference")
    assert refused.exit_code == 2
    assert "2 of 10 runs are missing; run them first" in refused.output
    assert not (workplace / "reference").exists()
