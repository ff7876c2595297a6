import json
import shutil
from pathlib import Path


def test_status_counts_by_row(mmbench, results):
    output = mmbench("status", "tiny").stdout
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}
    assert rows["enc"] == ["4", "2", "2", "-", "2/4", "2/4"]
    assert rows["encssl"] == ["4", "4", "-", "-", "4/4", "4/4"]
    assert rows["all"] == ["10", "8", "2", "-", "8/10", "8/10"]
    assert output.count("RuntimeError: this one does not converge") == 2
    assert "records  results/tiny" in output
    assert "Traceback" not in output


def test_status_shows_tracebacks_and_runs_when_asked(mmbench, results):
    assert "Traceback" in mmbench("status", "tiny", "--tracebacks").stdout
    assert mmbench("status", "tiny", "--runs").stdout.count("subset=0") == 12


def test_status_shows_what_runs_printed_when_asked(mmbench, results):
    assert "no run printed anything" in mmbench("status", "tiny", "--logs").stdout
    listed = json.loads(mmbench("status", "tiny", "--json").stdout)["runs"]
    run = next(one["id"] for one in listed if one["state"] == "done")
    (results / "logs").mkdir(exist_ok=True)
    (results / "logs" / f"{run}.log").write_text("loss [bold] is 0.5\n")
    output = mmbench("status", "tiny", "--logs").stdout
    assert f"results/tiny/logs/{run}.log" in output
    assert "loss [bold] is 0.5" in output
    assert "loss" not in mmbench("status", "tiny").stdout


def test_status_is_json_when_asked(mmbench, results):
    found = json.loads(mmbench("status", "results/tiny", "--json").stdout)
    assert (found["done"], found["failed"], found["missing"]) == (8, 2, 0)
    assert found["layers"]["scores"] == {"done": 8, "missing": 2}
    assert len(found["runs"]) == 10
    failed = [run for run in found["runs"] if run["state"] == "failed"]
    assert {run["error"] for run in failed} == {"RuntimeError: this one does not converge"}
    assert failed[0]["budgets"] == {"classification": 4}


def test_status_finds_the_folder_by_name_file_and_option(mmbench, results):
    Path("tiny.yaml").write_text(
        "name: tiny\nsources: {classification: kermany}\n"
        "budgets: {pairs: [{classification: 4}]}\nmethods: [enc]\n"
    )
    outputs = {mmbench("status", *args).stdout for args in (
        ["tiny"], ["tiny.yaml"], ["results/tiny"], [results], ["--results", results]
    )}  # fmt: skip
    assert len(outputs) == 1


def test_status_without_a_name_lists_every_folder(mmbench, results):
    shutil.copytree(results, results.parent / "other")
    output = mmbench("status").stdout
    assert [line.split()[-1] for line in output.splitlines()[2:]] == ["results/other", "results/tiny"]
    listed = json.loads(mmbench("status", "--json").stdout)
    assert [(one["done"], one["failed"]) for one in listed] == [(8, 2), (8, 2)]


def test_status_of_nothing(mmbench):
    result = mmbench("status")
    assert result.exit_code == 0
    assert "no results under ./results" in result.stdout
    assert json.loads(mmbench("status", "--json").stdout) == []


def test_a_wrong_name_is_one_line_with_a_suggestion(mmbench, results):
    result = mmbench("status", "tyny")
    assert result.exit_code == 2
    assert result.stderr == "error: results/tyny: no such results folder; did you mean 'tiny'?\n"
    assert mmbench("report", "results").stderr.startswith("error: results: no plan.json")


def test_a_damaged_plan_is_one_line(mmbench, results):
    (results / "plan.json").write_text("{")
    result = mmbench("status", "tiny")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_folder_of_the_old_format_is_one_line(mmbench, results):
    (results / "cells").mkdir()
    before = sorted(results.rglob("*"))
    for command in ("status", "report", "doctor"):
        result = mmbench(command, "results/tiny")
        assert result.exit_code == 2, command
        assert "holds records of an earlier format" in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(results.rglob("*")) == before
