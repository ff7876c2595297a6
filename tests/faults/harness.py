"""Small real protocols in real processes, and ways to end them.

``python tests/faults/harness.py KILLS`` counts what docs/reliability.md reports.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from typer.testing import CliRunner, Result

from mmbench.cli.main import app

PROTOCOL = """
name: small
sources:
  classification: {dataset: phantom:paediatric_ap, cases: 60}
  segmentation: {dataset: phantom:adult_pa, cases: 60}
targets:
  segmentation: {dataset: phantom:county, cases: 20}
budgets: {pairs: [{classification: 10, segmentation: 4}]}
methods: [unet, umtl_ssl, multimix]
trivial_baselines: [majority]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
training: {steps: 60, batch_size: 4}
selection: {rule: source_val, every: 20}
"""
"""Four runs of up to a second or so, with dropout, unlabeled streams and a rule that keeps the best."""

RUNS = 4
SCORES = 9
"""Two of unet (its own domain and the target), three of each that learns both tasks, one of majority."""


LAYERS = ("checkpoints", "runs", "predictions", "scores")


def write_protocol(folder: Path, text: str = PROTOCOL) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def command(protocol: Path, *options: object) -> list[str]:
    """The installed command: two workers, a checkpoint every tenth of a second, no report unless asked."""
    words = ["run", str(protocol), "--results", str(protocol.parent / "results"), "--device", "cpu"]
    words += ["-j", "2", "--checkpoint-every", "0.1", "--quiet", "--no-report", *map(str, options)]
    return [sys.executable, "-m", "mmbench", *words]


def start(protocol: Path, *options: object, **popen: Any) -> subprocess.Popen:
    log = (protocol.parent / "output.log").open("a")
    with log:
        return subprocess.Popen(
            command(protocol, *options), stdout=log, stderr=log, cwd=protocol.parent, process_group=0, **popen
        )


def finish(protocol: Path, *options: object, timeout: float = 300) -> subprocess.CompletedProcess:
    """Run the command to its end, with one worker: a second one costs more than it saves here."""
    return subprocess.run(
        command(protocol, "-j", "1", *options),
        capture_output=True,
        text=True,
        cwd=protocol.parent,
        timeout=timeout,
        check=False,
    )


def call(*words: object, environment: dict[str, str] | None = None) -> Result:
    """Run a command that trains nothing, or leaves it to workers, in this process."""
    return CliRunner().invoke(app, list(map(str, words)), env=environment)


def faults(results: Path, **options: Any) -> list[dict[str, object]]:
    """Return what the doctor finds in a results folder."""
    done = call("doctor", results, "--json", **options)
    found: list[dict[str, object]] = json.loads(done.stdout)["faults"]
    assert done.exit_code == (1 if found else 0)
    return found


def children(process: int) -> list[int]:
    """Return the process numbers of a process's children."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == process:
                found.append(int(folder.name))
    return found


def kill_everybody(process: subprocess.Popen) -> None:
    """Kill a run and its workers, and return when they are gone: a worker outlives its run by a moment."""
    # Stopped first: a worker that it was about to start would outlive the list of them.
    process.send_signal(signal.SIGSTOP)
    workers = children(process.pid)
    process.kill()
    process.wait()
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    while any(Path(f"/proc/{worker}/exe").exists() for worker in workers):
        time.sleep(0.01)


def kill_somebody(process: subprocess.Popen, choose: random.Random) -> str:
    """Kill the run, or one of its workers if it has any, without a warning."""
    workers = children(process.pid)
    victim = choose.choice([process.pid, *workers])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return "run" if victim == process.pid else "worker"


def kill_at_random(protocol: Path, seed: int) -> str:
    """Start a run, kill somebody at a random moment, and wait for the end of what is left.

    Three in four moments lie after the first checkpoint: starting takes longer than a run.
    """
    choose = random.Random(seed)
    begin = time.time()
    again = ["--retry-failed"] if failures(protocol) else []
    process = start(protocol, "--report", *again)
    if choose.random() < 0.75:
        while process.poll() is None and not trained_since(protocol, begin):
            time.sleep(0.005)
        time.sleep(choose.uniform(0.0, 1.5))
    else:
        time.sleep(choose.uniform(0.0, 4.0))
    victim = kill_somebody(process, choose) if process.poll() is None else "nobody"
    process.wait(300)
    return victim


def trained_since(protocol: Path, begin: float) -> bool:
    """Whether a checkpoint or a record of any layer was written since."""
    results = protocol.parent / "results"
    for path in [path for room in LAYERS for path in results.glob(f"{room}/[0-9a-f]*")]:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime > begin:
                return True
    return False


def failures(protocol: Path) -> list[Path]:
    return sorted((protocol.parent / "results" / "failures").glob("*.json"))


def outcome(protocol: Path) -> dict[str, dict]:
    """Return everything of every record that must not depend on what happened meanwhile."""
    results = protocol.parent / "results"
    found = {}
    for path in sorted(results.glob("runs/[0-9a-f]*/run.json")):
        record = json.loads(path.read_text())
        losses = pd.read_parquet(path.parent / "losses.parquet")
        found[path.parent.name] = {
            "losses": losses,
            **{name: record[name] for name in ("product", "selected_step", "last_losses")},
        }
    for path in sorted(results.glob("predictions/[0-9a-f]*/predictions.json")):
        record = json.loads(path.read_text())
        names = ("product", "contents", "ground_truth", "cases")
        found[path.parent.name] = {name: record[name] for name in names}
    for path in sorted(results.glob("scores/[0-9a-f]*/scores.json")):
        record = json.loads(path.read_text())
        cases = pd.read_parquet(path.parent / "cases.parquet")
        found[path.parent.name] = {"cases": cases, "metrics": record["metrics"], "scored": record["scored"]}
    return found


def count(outcome: dict[str, dict], layer: str) -> int:
    """Return how many records of a layer an outcome holds."""
    mark = {"runs": "losses", "predictions": "contents", "scores": "metrics"}[layer]
    return sum(mark in record for record in outcome.values())


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for id in one:
        assert one[id].keys() == other[id].keys()
        for name, value in one[id].items():
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(value, other[id][name], check_exact=True)
            else:
                assert value == other[id][name], (id, name)


def assert_clean(protocol: Path) -> None:
    """Nothing half-written is left, and every file matches its checksum."""
    results = protocol.parent / "results"
    for room in ("runs", "predictions", "scores", "ground_truth"):
        assert list((results / room).glob(".*")) == []
    for room in ("failures", "checkpoints", "leases"):
        assert list((results / room).glob("*")) == []
    assert faults(results) == []


def survive(folder: Path, reference: dict, kills: int, seed: int = 0) -> dict[str, int]:
    """Kill runs until ``kills`` processes died, finish, and compare with the uninterrupted run.

    Each time that nothing is left to do, a new results folder begins.
    """
    counts = {"run": 0, "worker": 0, "resumed": 0, "rounds": 0}
    moment = seed
    while counts["run"] + counts["worker"] < kills:
        counts["rounds"] += 1
        protocol = write_protocol(folder / f"round{counts['rounds']}")
        while counts["run"] + counts["worker"] < kills:
            moment += 1
            victim = kill_at_random(protocol, moment)
            if victim == "nobody":
                break
            counts[victim] += 1
        if failures(protocol):
            finish(protocol, "--retry-failed")
        done = finish(protocol)
        assert done.returncode == 0, done.stderr
        assert_same(outcome(protocol), reference)
        assert_clean(protocol)
        for record in (protocol.parent / "results" / "runs").glob("*/run.json"):
            counts["resumed"] += bool(json.loads(record.read_text())["resumed_at"])
    return counts


def main() -> None:
    import tempfile

    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMBENCH_CACHE"] = str(Path(folder) / "cache")
        protocol = write_protocol(Path(folder) / "whole")
        assert finish(protocol).returncode == 0
        counts = survive(Path(folder), outcome(protocol), kills)
    print(f"killed: {counts['run']} runs and {counts['worker']} workers, over {counts['rounds']} folders")
    print(f"runs resumed from a checkpoint: {counts['resumed']}")
    print("every record equal to the uninterrupted run's to the bit; lost: 0, partial: 0")


if __name__ == "__main__":
    main()
