"""``mmbench report --reference``."""

import json

import fake_work
import pandas as pd
import pytest

from mmbench.launch.devices import Placement
from mmbench.launch.local import LocalExecutor
from mmbench.launch.run import run_plan


@pytest.fixture
def complete(workplace):
    folder = workplace / "results" / "tiny"
    executor = LocalExecutor(["cpu", "cpu"], function="fake_work:record")
    run_plan(fake_work.tiny_plan(), results=folder, workers=Placement(("cpu",), 1), executor=executor)
    return folder


def test_a_complete_run_is_summarised(mmbench, complete, workplace):
    folder = workplace / "reference"
    done = mmbench("report", complete, "--reference", folder, "--command", "make bench")
    assert done.exit_code == 0, done.output
    about = json.loads((folder / "run.json").read_text())
    plan = json.loads((complete / "plan.json").read_text())
    assert about["command"] == "make bench"
    assert about["cells"] == len(plan["cells"])
    assert sum(row["cells"] for row in about["rows"].values()) == about["cells"]
    assert about["environments"][0]["python"]
    cells = pd.read_csv(folder / "cells.csv")
    records = [json.loads(path.read_text()) for path in complete.glob("cells/*/cell.json")]
    for record in records:
        for part in record["summary"]:
            for metric, value in part["metrics"].items():
                found = cells[
                    (cells["cell"] == record["id"])
                    & (cells["domain"] == part["domain"])
                    & (cells["task"] == part["task"])
                    & (cells["metric"] == metric)
                ]
                assert len(found) == 1
                assert value is None or found["value"].item() == pytest.approx(value, rel=1e-5)
    for name in ("main.md", "spread.md", "comparisons.csv"):
        assert (folder / name).read_text() == (complete / "report" / "tables" / name).read_text()
    page = (folder / "report.html").read_text()
    assert "cell.json" not in page
    assert page.count('href="cells.csv"') == len(plan["cells"])


def test_an_incomplete_run_is_refused_and_nothing_is_written(mmbench, results, workplace):
    refused = mmbench("report", results, "--reference", workplace / "reference")
    assert refused.exit_code == 2
    assert "2 of 10 cells are missing; run them first" in refused.output
    assert not (workplace / "reference").exists()
