"""Work functions that real worker processes run in tests, and runs for them."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mmbench.errors import DataError
from mmbench.execution.executor import Outcome, RunTask
from mmbench.planning.plan import Plan
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.runs import MethodSummary, expand
from mmbench.protocol.schema import MethodEntry
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.provenance import engine_digest
from mmbench.store.store import ResultStore
from tests.store.made_records import put_run, put_scores

ROOT = str(Path(__file__).parents[2])
"""What a script of its own puts on ``sys.path`` to import this module."""

PROTOCOL = """
name: tiny
sources: {classification: phantom:paediatric_ap}
budgets: {pairs: [{classification: 4}, {classification: 8}]}
methods: [enc, encssl]
trivial_baselines: [majority]
subsets: 1
seeds: 2
training: {steps: 10}
"""


def tiny_plan(seeds=2):
    """A plan of 2 methods x 2 budgets x 2 seeds, a trivial baseline at 2 budgets: 10 runs; needs no data."""
    protocol = parse_protocol(PROTOCOL.replace("seeds: 2", f"seeds: {seeds}"))
    labeled, unlabeled = Stream.LABELED_CLASSIFICATION, Stream.UNLABELED_CLASSIFICATION
    tasks = frozenset({Task.CLASSIFICATION})
    methods = {
        "enc": MethodSummary(method="enc", tasks=tasks, streams=frozenset({labeled})),
        "encssl": MethodSummary(method="encssl", tasks=tasks, streams=frozenset({labeled, unlabeled})),
        "majority": MethodSummary(
            method="majority", tasks=tasks, streams=frozenset(), seeded=False, trivial=True
        ),
    }
    source = DomainDigest(domain="paediatric_ap", data="d", split="s", in_domain=True)
    entries = [(entry, methods[entry.method]) for entry in protocol.methods]
    entries.append((MethodEntry(method="majority"), methods["majority"]))
    domains = {Task.CLASSIFICATION: [source]}
    leaks: Any = SimpleNamespace(to_json=lambda: {"overlaps": []}, notes=list, leaks=[])  # made up
    return Plan(
        protocol=protocol,
        runs=expand(protocol, entries, domains),
        domains=domains,
        methods=methods,
        leaks=leaks,
        notes=("a known fact",),
        cases={Task.CLASSIFICATION: {"paediatric_ap": 60}},
        parts={Task.CLASSIFICATION: {"train": 40, "validation": 0, "test": 60}},
    )


def tasks_of(plan, results):
    """One task per run."""
    return [RunTask(run, tuple(plan.scores(run)), plan.protocol, results) for run in plan.runs]


def said(**headline):
    return Outcome(trained=True, headline=headline)


def robbed(task, on_progress):
    """Somebody removes the results folder; what is then missing is an error of its own."""
    shutil.rmtree(task.results)
    raise FileNotFoundError("a record is not there")


def fine(task, on_progress):
    return said(seed=task.run.seed, threads=int(os.environ["OMP_NUM_THREADS"]))


def forgetful(task, on_progress):
    """Ask for 64 MB and give them back, three times; says how many pages came new the third time."""
    import resource

    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(2**23)
    return said(pages=resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


def who(task, on_progress):
    time.sleep(0.05)
    device = int(task.device.partition(":")[2] or -1)
    return said(pid=os.getpid(), device=device, threads=task.threads)


def chatty(task, on_progress):
    """Hundreds of progress calls within half a second."""
    end = time.monotonic() + 0.5
    step = 0
    while time.monotonic() < end:
        step += 1
        on_progress(step, 1000, "train")
        time.sleep(0.001)
    return said()


def noisy(task, on_progress):
    """Garbage on every kind of standard output, native code's included."""
    print("x" * 100_000, flush=True)
    print("\x80\x04garbage", file=sys.stderr)
    os.write(1, b"\x00\x01\x02raw")
    libc = ctypes.CDLL(None)
    libc.puts(b"native")
    libc.fflush(None)
    subprocess.run(["echo", "child"], check=True)
    return said(Acc=0.5)


def moody(task, on_progress):
    """Depends on method, seed and budget: some runs fail, each in its own way."""
    key = (task.run.label, task.run.seed, task.run.budgets[Task.CLASSIFICATION])
    if key == ("enc", 0, 4):
        raise ValueError("two\nlines")
    if key == ("enc", 1, 4):
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if key == ("enc", 0, 8):
        os._exit(3)
    if key == ("enc", 1, 8):
        sys.exit("enough")
    if key == ("encssl", 0, 4):
        ctypes.string_at(0)
    if key == ("encssl", 1, 4):
        raise DataError("kermany: no such folder")
    if key == ("encssl", 0, 8):
        raise KeyError("missing")
    return said(Acc=1.0)


def messy(task, on_progress):
    """The first run puts its process out of order and fails; in such a process every other run fails."""
    if (task.run.label, task.run.seed, task.run.budgets[Task.CLASSIFICATION]) == ("enc", 0, 4):
        os.environ["OUT_OF_ORDER"] = "1"
    if "OUT_OF_ORDER" in os.environ:
        raise RuntimeError("device-side assert triggered")
    return said(pid=os.getpid())


def record(task, on_progress):
    """Write a record as real work does."""
    for step in range(3):
        on_progress(step, 3, "train")
    write_record(task)
    return Outcome(trained=True, predicted=1, scored=1, headline={"Acc": 0.75})


def record_but_enc_seed_0(task, on_progress):
    if (task.run.label, task.run.seed) == ("enc", 0):
        raise RuntimeError("this one does not converge")
    return record(task, on_progress)


def write_record(task):
    # 35 of 40 cases of pneumonia and 10 of 20 normal ones are called right: accuracy 0.75.
    label = [1] * 40 + [0] * 20
    predicted = [1] * 35 + [0] * 5 + [0] * 10 + [1] * 10
    cases = pd.DataFrame(
        {
            "case_id": [f"case {number}" for number in range(60)],
            "patient_id": [f"patient {number // 2}" for number in range(60)],
            "label": label,
            "probability": [0.25 + 0.5 * one for one in predicted],
            "predicted": predicted,
            "correct": [one == other for one, other in zip(label, predicted, strict=True)],
        }
    )
    metrics = {"accuracy": 0.75, "f1_normal": 20 / 35, "f1_pneumonia": 70 / 85}
    store, replace = ResultStore(task.results), task.force is not None
    put_run(store, task.run, 5, replace=replace, engine=engine_digest("run"))
    engines = engine_digest("predictions"), engine_digest("scores")
    for spec in task.scores:
        put_scores(store, spec, cases, metrics, replace=replace, engines=engines)
    store.clear_failure(task.id)


def endless(task, on_progress):
    """Leave this process's and a child's ids behind, then never end."""
    child = subprocess.Popen(["sleep", "1000"])
    task.results.mkdir(parents=True, exist_ok=True)
    (task.results / f"pids.{task.id}").write_text(f"{os.getpid()} {child.pid}")
    on_progress(1, 2, "train")
    time.sleep(1000)


def lively_for_ever(task, on_progress):
    """Tell of progress and never end."""
    step = 0
    while True:
        step += 1
        on_progress(step, 10**9, "train")
        time.sleep(0.01)


def stubborn(task, on_progress):
    """Like ``endless``, and deaf to the terminate signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return endless(task, on_progress)


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def slow_record(task, on_progress):
    time.sleep(0.3)
    return record(task, on_progress)
