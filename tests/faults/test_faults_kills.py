"""kill -9 anywhere: the same command resumes, and every record is that of an uninterrupted run."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import harness

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("MMBENCH_TEST_KILLS", "8"))
"""docs/reliability.md reports more: ``python tests/faults/harness.py 40``."""


def test_killed_at_random_moments(tmp_path, reference):
    counts = harness.survive(tmp_path, reference, KILLS)
    assert counts["run"] + counts["worker"] == KILLS


POINTS = {
    "cache": {
        "while it is written": "fsync:/datasets/:before",
        "written, not renamed": "rename:/datasets/:before",
        "just renamed": "rename:/datasets/:after",
    },
    "plan": {"written, not renamed": "replace:plan.json:before"},
    **{
        layer: {
            "while it is written": f"fsync:/{folder}/:before",
            "flushed, not renamed": f"rename:/{folder}/:before",
            "just renamed": f"rename:/{folder}/:after",
        }
        for layer, folder in {
            "run": "runs",
            "predictions": "predictions",
            "scores": "scores",
            "ground truth": "ground_truth",
        }.items()
    },
    "checkpoint": {
        "while it is written": "fsync:/checkpoints/:before",
        "flushed, not renamed": "replace:/checkpoints/:before",
        "just renamed": "replace:/checkpoints/:after",
    },
    "report": {"while it is written": "replace:/report/:before"},
}


@pytest.mark.parametrize("what", POINTS)
def test_killed_at_every_named_point(tmp_path, reference, what):
    """One command after the other, each killed at the next point of what the one before has left."""
    protocol = harness.write_protocol(tmp_path / "run")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "killer")}
    if what == "cache":
        environment["MMBENCH_CACHE"] = str(tmp_path / "cache")
    for name, point in POINTS[what].items():
        once = tmp_path / name
        kill = {"MMBENCH_TEST_KILL": point, "MMBENCH_TEST_KILL_ONCE": str(once)}
        options = ["--retry-failed"] if harness.failures(protocol) else []
        options += ["--report"] if what == "report" else []
        harness.start(protocol, "--only", "method=unet", *options, env=environment | kill).wait(300)
        assert once.exists(), f"the point was never reached: {name}"
    if harness.failures(protocol):
        done = harness.finish(protocol, "--retry-failed")
        assert done.returncode == 0, done.stderr
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(protocol), reference)
    harness.assert_clean(protocol)


@pytest.mark.parametrize("layer", ["run", "predictions", "scores"])
def test_killed_between_setting_an_old_record_aside_and_the_new_one(finished, reference, tmp_path, layer):
    """A forced layer never leaves less than it found."""
    folder = {"run": "runs"}.get(layer, layer)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent / "killer"),
        "MMBENCH_TEST_KILL": f"rename:/{folder}/.:after",
        "MMBENCH_TEST_KILL_ONCE": str(tmp_path / "killed"),
    }
    harness.start(finished, "--force", layer, "--only", "method=unet,seed=0", env=environment).wait(300)
    assert (tmp_path / "killed").exists()
    assert harness.count(harness.outcome(finished), folder) == harness.count(reference, folder) - 1
    done = harness.finish(finished, *(["--retry-failed"] if harness.failures(finished) else []))
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(finished), reference)
    harness.assert_clean(finished)


def test_killed_between_layers_nothing_that_was_made_is_made_again(tmp_path, reference):
    """After the training and before its predictions: the next command trains nothing of that run."""
    protocol = harness.write_protocol(tmp_path / "run")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent / "killer"),
        "MMBENCH_TEST_KILL": "rename:/runs/:after",
        "MMBENCH_TEST_KILL_ONCE": str(tmp_path / "killed"),
    }
    harness.start(protocol, "--only", "method=unet", env=environment).wait(300)
    assert harness.count(harness.outcome(protocol), "runs") == 1
    assert harness.count(harness.outcome(protocol), "predictions") == 0
    done = harness.finish(protocol, "--retry-failed", "--only", "method=unet", "--json")
    summary = json.loads(done.stdout)
    assert (summary["trained"], summary["predicted"], summary["scored"]) == (0, 2, 2)
    assert harness.finish(protocol).returncode == 0
    harness.assert_same(harness.outcome(protocol), reference)


COUNTED = """
import os
from mmbench.baselines.enc import Enc
from mmbench.plugins import register_method

@register_method("counted")
class Counted(Enc):
    '''Enc that notes every training that begins.'''

    def build(self, problem):
        self.seed = problem.seed
        super().build(problem)

    def start(self, labeled):
        with open(os.environ["COUNT"], "a") as log:
            log.write(f"{self.seed}\\n")
"""
MANY = """
name: small
sources: {classification: {dataset: phantom:paediatric_ap, cases: 60}}
budgets: {pairs: [{classification: 10}]}
methods: [counted]
trivial_baselines: []
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
seeds: 12
training: {steps: 20, batch_size: 4}
"""


@pytest.mark.parametrize("runners", [2, 8])
def test_runs_that_share_a_folder_complete_every_run_once(tmp_path, runners):
    protocol = harness.write_protocol(tmp_path, MANY)
    plugin = tmp_path / "counted.py"
    plugin.write_text(COUNTED)
    environment = {**os.environ, "COUNT": str(tmp_path / "count")}
    together = [
        harness.start(protocol, "--plugin", plugin, "-j", "1", env=environment) for _ in range(runners)
    ]
    assert [process.wait(500) for process in together] == [0] * runners, (tmp_path / "output.log").read_text()
    begun = Counter((tmp_path / "count").read_text().split())
    assert len(begun) == 12
    assert set(begun.values()) == {1}
    assert [harness.count(harness.outcome(protocol), layer) for layer in harness.LAYERS[1:]] == [12] * 3
    harness.assert_clean(protocol)


def test_runs_that_share_a_group_sequential_design_take_every_look_once(tmp_path):
    """Two at a time find what one alone finds, and train nothing twice."""
    text = MANY.replace("seeds: 12", "seeds: {until: decided, first: 2, most: 4}").replace(
        "[counted]", "[counted, encssl]"
    )
    plugin, looks, begun = tmp_path / "counted.py", [], []
    plugin.write_text(COUNTED)
    for runners in (1, 2):
        folder = tmp_path / f"{runners}"
        protocol = harness.write_protocol(folder, text)
        environment = {**os.environ, "COUNT": str(folder / "count")}
        together = [
            harness.start(protocol, "--plugin", plugin, "-j", "1", env=environment) for _ in range(runners)
        ]
        assert [process.wait(500) for process in together] == [0] * runners, (
            folder / "output.log"
        ).read_text()
        found = json.loads((folder / "results" / "looks.json").read_text())
        looks.append([{**look, "created": ""} for look in found["looks"]])
        begun.append(sorted((folder / "count").read_text().split()))
        harness.assert_clean(protocol)
    alone, shared = looks
    assert alone == shared
    assert len(alone) >= 1
    assert begun[0] == begun[1] == sorted(set(begun[0]))


def test_a_command_completes_the_runs_of_one_that_was_killed(tmp_path, reference):
    """The other command waits for runs that it does not hold, and takes them when their holder is dead."""
    protocol = harness.write_protocol(tmp_path)
    first = harness.start(protocol)
    while not list((tmp_path / "results" / "leases").glob("*")):
        assert first.poll() is None
    second = subprocess.Popen(
        harness.command(protocol, "--json"), stdout=subprocess.PIPE, text=True, cwd=tmp_path, process_group=0
    )
    while len(list((tmp_path / "results" / "runs").glob("*/run.json"))) < 2:
        assert first.poll() is None
    first.kill()
    first.wait()
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0
    summary = json.loads(output)
    assert summary["failed"] == 0
    assert summary["done"] + summary["cached"] == harness.RUNS
    harness.assert_same(harness.outcome(protocol), reference)


def test_the_same_runs_twice_are_the_same_to_the_bit(tmp_path, reference):
    """In one process after another, with one worker or, as the reference was made, two."""
    protocol = harness.write_protocol(tmp_path)
    assert harness.finish(protocol, "-j", "1").returncode == 0
    harness.assert_same(harness.outcome(protocol), reference)
