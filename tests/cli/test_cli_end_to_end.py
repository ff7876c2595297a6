"""The real thing: phantom data, real methods, real workers, the installed command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROTOCOL = """
name: small
sources:
  classification: {dataset: phantom:paediatric_ap, cases: 60}
  segmentation: {dataset: phantom:adult_pa, cases: 60}
targets:
  segmentation: {dataset: phantom:county, cases: 20}
budgets: {pairs: [{classification: 10, segmentation: 4}]}
methods: [unet, umtl]
trivial_baselines: [majority, mean_mask]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
training: {steps: 3, batch_size: 2}
"""
PLUGIN = """
from mmbench.methods.base import CLASSIFICATION, LABELED_CLASSIFICATION, Method
from mmbench.plugins import register_method

@register_method("broken")
class Broken(Method):
    '''Prints, then fails.'''
    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION}

    def build(self, problem):
        print("on standard output")
        raise RuntimeError("out of ideas")
"""


def mmbench(*args, timeout=300):
    command = [sys.executable, "-m", "mmbench", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.slow
def test_a_protocol_runs_fails_resumes_and_is_collected(workplace, cache):
    Path("broken.py").write_text(PLUGIN)
    protocol = Path("small.yaml")
    protocol.write_text(PROTOCOL.replace("umtl]", "umtl, broken]"))
    first = mmbench("run", protocol, "--plugin", "broken.py", "-j", "2", "--device", "cpu", "--json")
    assert first.returncode == 1, first.stderr
    summary = json.loads(first.stdout)
    assert (summary["trained"], summary["cached"], summary["failed"]) == (4, 0, 1)
    assert list(summary["errors"].values()) == ["RuntimeError: out of ideas"]
    (broken,) = summary["errors"]
    assert Path(f"results/small/logs/{broken}.log").read_text() == "on standard output\n"

    protocol.write_text(PROTOCOL)
    second = mmbench("run", protocol, "--json")
    assert second.returncode == 0, second.stderr
    summary = json.loads(second.stdout)
    assert (summary["trained"], summary["cached"], summary["failed"]) == (0, 4, 0)

    rows = json.loads(mmbench("report", "small", "--json").stdout)["rows"]
    assert {row["row"] for row in rows} == {"unet", "umtl", "majority", "mean_mask"}
    assert {(row["scope"], row["domain"]) for row in rows if row["row"] == "unet"} == {
        ("in-domain", "adult_pa"),
        ("cross-domain", "county"),
    }


@pytest.mark.slow
def test_scores_do_not_depend_on_the_number_of_workers(workplace, cache):
    Path("small.yaml").write_text(PROTOCOL)
    for jobs in (1, 3):
        done = mmbench("run", "small.yaml", "-j", jobs, "--device", "cpu", "--results", f"with {jobs}", "-q")
        assert done.returncode == 0, done.stderr
    texts = [Path(f"with {jobs}/report/tables/estimates.csv").read_text() for jobs in (1, 3)]
    assert texts[0] == texts[1]


def test_the_command_is_installed(workplace):
    script = Path(sys.executable).with_name("mmbench")
    if not script.exists():
        pytest.skip("mmbench is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.startswith("mmbench ")
