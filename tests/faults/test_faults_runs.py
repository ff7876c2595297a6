"""Bad runs: each fails alone, with its cause; the others finish."""

import json

import pytest

from tests.faults import harness

pytestmark = pytest.mark.slow

BAD = '''
import os, sys, time
import torch
from mmbench.baselines.enc import Enc
from mmbench.plugins import register_method


@register_method("raises")
class Raises(Enc):
    """Raises in the second step."""

    def after_step(self, step):
        if step == 1:
            raise KeyError("second step")


@register_method("not_a_number")
class NotANumber(Enc):
    """A loss term becomes NaN at step 3."""

    calls = 0

    def losses(self, batch):
        terms = super().losses(batch)
        self.calls += 1
        return {**terms, "extra": terms["cross_entropy"] * (float("nan") if self.calls == 3 else 0)}


@register_method("greedy")
class Greedy(Enc):
    """Takes memory until there is no more."""

    def losses(self, batch):
        import resource

        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, -1))
        hoard = []
        while True:
            hoard.append(bytearray(2**24))


@register_method("quits")
class Quits(Enc):
    """Ends the interpreter."""

    def losses(self, batch):
        print("my last words", flush=True)
        os._exit(7)


@register_method("leaves")
class Leaves(Enc):
    """Calls sys.exit."""

    def losses(self, batch):
        sys.exit("I am done")


@register_method("hangs")
class Hangs(Enc):
    """Never comes back."""

    def losses(self, batch):
        time.sleep(10_000)


@register_method("noisy")
class Noisy(Enc):
    """Works, and writes garbage to standard output and to every other open file descriptor but ours."""

    def losses(self, batch):
        os.write(1, bytes(range(256)))
        os.write(2, bytes(range(256)))
        print("\\x1b[2J{}[]")
        return super().losses(batch)
'''
NAMES = ["raises", "not_a_number", "greedy", "quits", "leaves", "hangs", "noisy", "enc"]
PROTOCOL = f"""
name: small
sources: {{classification: {{dataset: phantom:paediatric_ap, cases: 60}}}}
budgets: {{pairs: [{{classification: 10}}]}}
methods: [{", ".join(NAMES)}]
trivial_baselines: []
backbone: {{name: paper_unet, width: 1.0, depth: 3}}
image_size: 32
training: {{steps: 6, batch_size: 4}}
"""
CAUSES = {
    "raises": "KeyError: 'second step'",
    "not_a_number": "NonFiniteLossError: loss term 'extra' is nan at step 3",
    "greedy": "MemoryError",
    "quits": "worker exited with code 7",
    "leaves": "SystemExit: I am done",
    "hangs": "took longer than the time limit of 20 s",
}


def failures(protocol):
    found = [json.loads(path.read_text()) for path in harness.failures(protocol)]
    return {failure["run"]["label"]: failure for failure in found}


def test_every_kind_of_bad_run(tmp_path, cache_folder):
    plugin = tmp_path / "bad.py"
    plugin.write_text(BAD)
    protocol = harness.write_protocol(tmp_path, PROTOCOL)
    compiled = harness.finish(protocol, "--plugin", plugin, "--only", "method=enc")
    assert compiled.returncode == 0, "compiles what the time limit below shall not wait for"
    options = ("--plugin", plugin, "--time-limit", "20", "-j", "2")
    done = harness.finish(protocol, *options)
    assert done.returncode == 1, done.stderr
    failed = failures(protocol)
    assert {name: failure["error"] for name, failure in failed.items()} == CAUSES
    assert "in after_step" in failed["raises"]["traceback"]
    assert "my last words" in failed["quits"]["traceback"]
    assert {record["run"]["label"] for record in records(protocol)} == {"noisy", "enc"}
    for cause in CAUSES.values():
        assert cause in done.stdout + done.stderr

    again = harness.finish(protocol, *options)
    assert again.returncode == 1
    assert failures(protocol) == failed, "without --retry-failed a failed run is left alone"

    before = {record["id"]: record for record in records(protocol)}
    plugin.write_text(BAD.replace("if step == 1:", "if step == 99:"))
    retried = harness.finish(
        protocol, *options, "--retry-failed", "--only", "method=raises,method=quits,method=enc"
    )
    assert retried.returncode == 1
    assert set(failures(protocol)) == set(CAUSES) - {"raises"}
    assert {id: record for record in records(protocol) if (id := record["id"]) in before} == before
    assert failures(protocol)["hangs"] == failed["hangs"]


def records(protocol):
    found = (protocol.parent / "results" / "runs").glob("*/run.json")
    return [json.loads(path.read_text()) for path in sorted(found)]


def test_a_time_limit_leaves_a_checkpoint_to_resume_from(tmp_path, cache_folder):
    """What was trained before the limit is not lost when the run is retried."""
    going_on = tmp_path / "going-on"
    hangs = f"""
import time
from pathlib import Path
from mmbench.baselines.enc import Enc
from mmbench.plugins import register_method

@register_method("hangs")
class Hangs(Enc):
    '''Waits after its fourth step until a file is there.'''

    def after_step(self, step):
        time.sleep(0.1)
        while step >= 4 and not Path({str(going_on)!r}).exists():
            time.sleep(0.1)
"""
    plugin = tmp_path / "hangs.py"
    plugin.write_text(hangs)
    protocol = harness.write_protocol(tmp_path, PROTOCOL.replace(", ".join(NAMES), "hangs"))
    checkpoints = protocol.parent / "results" / "checkpoints"
    for limit in (8, 16, 32, 64):  # a busy machine may need long to come to the first step
        retry = ["--retry-failed"] if limit > 8 else []
        stopped = harness.finish(protocol, "--plugin", plugin, "--time-limit", limit, *retry)
        assert stopped.returncode == 1, stopped.stderr
        if any(checkpoints.glob("*")):
            break
    going_on.touch()
    done = harness.finish(protocol, "--plugin", plugin, "--retry-failed")
    assert done.returncode == 0, done.stderr
    (record,) = records(protocol)
    assert 1 <= record["resumed_at"][0] <= 5
    harness.assert_clean(protocol)
