import json
import os
import subprocess
import sys

import fake_work
import pytest
from fake_work import alive, tiny_plan, wait_until

from mmbench.api import Planned, run_plan
from mmbench.errors import UserError
from mmbench.execution.devices import Placement
from mmbench.execution.executor import Failed, Finished, Progress, Started
from mmbench.execution.local import LocalExecutor
from mmbench.planning.schedule import longest_first, plan_costs
from mmbench.store.store import ResultStore

ONE, TWO = Placement(("cpu",), 1), Placement(("cpu", "cpu"), 1)


@pytest.fixture
def go(tmp_path):
    """Run the tiny plan with fake work in real processes; return the summary and the events."""

    def run(work="record", workers=ONE, seeds=2, **options):
        events = []
        executor = LocalExecutor(workers.devices, function=f"fake_work:{work}")
        summary = run_plan(
            tiny_plan(seeds),
            results=tmp_path / "tiny",
            workers=workers,
            listener=events.append,
            executor=executor,
            **options,
        )
        return summary, events

    return run


def trained(events):
    return [event.id for event in events if isinstance(event, Started)]


def test_a_run_trains_everything_once_and_the_next_run_nothing(go):
    plan = tiny_plan()
    summary, events = go(workers=TWO)
    assert set(summary.done) == {run.id for run in plan.runs}
    assert (summary.cached, summary.failed, summary.skipped, summary.exit_code) == ((), {}, (), 0)
    again, events = go()
    assert trained(events) == []
    assert again.done == ()
    assert set(again.cached) == set(summary.done)
    (planned,) = events
    assert isinstance(planned, Planned)
    assert (planned.pending, planned.cached, planned.skipped) == ((), 10, 0)


def test_events_come_in_order(go):
    _, events = go(only="method=enc,seed=0,classification=4")
    assert [type(event) for event in events] == [Planned, Started, Progress, Finished]
    assert events[0].plan.notes == ["a known fact"]
    assert events[0].workers == "1 worker on cpu"
    assert [(description, cost > 0) for _, description, cost in events[0].pending] == [
        ("enc cla=4 subset=0 seed=0", True)
    ]


def test_the_table_and_the_plan_are_written(go, tmp_path):
    summary, _ = go()
    names = {str(path.relative_to(tmp_path)) for path in summary.paths}
    assert {"tiny/report/index.html", "tiny/report/tables/main.md", "tiny/report/tables/main.tex"} <= names
    assert "0.750" in (tmp_path / "tiny/report/tables/main.md").read_text()
    assert list(summary.table["row"]) == ["enc", "enc", "encssl", "encssl", "majority", "majority"]
    assert list(summary.table["trivial"]) == [False] * 4 + [True] * 2
    plan = ResultStore(summary.results).load_plan()
    assert plan.report == {
        "notes": ["a known fact"],
        "case_counts": {"classification paediatric_ap": 60},
        "part_counts": {"classification": {"train": 40, "validation": 0, "test": 60}},
        "leaks": {"overlaps": []},
        "trivial_baselines": ["majority"],
    }


def test_a_failure_stops_nothing_is_recorded_and_repeated_only_when_asked(go):
    summary, events = go("record_but_enc_seed_0", workers=TWO)
    assert len(summary.done) == 8
    assert set(summary.failed.values()) == {"RuntimeError: this one does not converge"}
    assert summary.exit_code == 1
    store = ResultStore(summary.results)
    assert set(store.failed()) == set(summary.failed)
    assert "record_but_enc_seed_0" in next(iter(store.failed().values())).traceback

    left_alone, events = go("record")
    assert trained(events) == []
    assert left_alone.failed == summary.failed
    assert set(left_alone.skipped) == set(summary.failed)
    assert left_alone.exit_code == 1

    repeated, events = go("record", retry_failed=True)
    assert set(trained(events)) == set(summary.failed) == set(repeated.done)
    assert repeated.exit_code == 0
    assert store.failed() == {}


def test_a_failure_is_on_the_disk_when_it_is_told(tmp_path):
    store = ResultStore(tmp_path / "tiny")
    seen = []

    def listener(event):
        if isinstance(event, Failed):
            seen.append(event.id in store.failed())

    executor = LocalExecutor(function="fake_work:record_but_enc_seed_0")
    run_plan(tiny_plan(), results=store.root, workers=ONE, listener=listener, executor=executor)
    assert seen == [True, True]


def test_retry_failed_leaves_cells_alone_that_never_ran(go):
    go("record_but_enc_seed_0", only="method=enc,classification=4")
    summary, events = go("record", retry_failed=True)
    assert len(trained(events)) == 1
    assert len(summary.skipped) == 8
    assert summary.failed == {}


def test_a_failure_that_fails_again_stays(go):
    first, _ = go("record_but_enc_seed_0")
    second, events = go("record_but_enc_seed_0", retry_failed=True)
    assert set(trained(events)) == set(first.failed) == set(second.failed)


def test_only_runs_a_part_and_keeps_the_rest_of_the_plan(go):
    summary, _ = go(only="method=encssl,seed=1")
    assert len(summary.done) == 2
    assert len(ResultStore(summary.results).load_plan().runs) == 10
    assert summary.table["planned"].sum() == 10


def test_floors_alone_make_a_report(go):
    """There is nothing to compare or to rank."""
    summary, _ = go(only="method=majority")
    assert len(summary.done) == 2
    assert summary.report.page.is_file()


def test_force_trains_again_and_replaces(go):
    first, _ = go(only="id=" + tiny_plan().runs[0].id)
    record = first.results / "runs" / first.done[0] / "run.json"
    before = record.stat().st_mtime_ns
    second, events = go(only="id=" + tiny_plan().runs[0].id, force=True)
    assert trained(events) == list(first.done) == list(second.done)
    assert record.stat().st_mtime_ns > before


def test_force_and_retry_failed_contradict(go):
    with pytest.raises(UserError, match="contradict"):
        go(force=True, retry_failed=True)


def test_an_exception_in_the_listener_ends_the_workers(tmp_path):
    class Stop(Exception):
        pass

    def listener(event):
        if isinstance(event, Progress):
            raise Stop

    executor = LocalExecutor(("cpu", "cpu"), function="fake_work:endless")
    with pytest.raises(Stop):
        run_plan(tiny_plan(), results=tmp_path / "tiny", workers=TWO, listener=listener, executor=executor)
    pids = [int(p) for file in (tmp_path / "tiny").glob("pids.*") for p in file.read_text().split()]
    assert pids
    wait_until(lambda: not any(map(alive, pids)))


def test_longest_first(go):
    plan = tiny_plan()
    costs = plan_costs(plan)
    order = [run.label for run in longest_first(plan.runs, costs)]
    assert order == ["encssl"] * 4 + ["enc"] * 4 + ["majority"] * 2
    _, events = go()
    assert [plan_id for plan_id, _, _ in events[0].pending] == trained(events)
    # 10 steps of 10 images, three passes each, and one pass for each of the 60 test cases
    enc = next(run for run in plan.runs if run.label == "enc")
    assert costs[enc.id] == 10 * 10 * 3 + 60


def test_another_seed_adds_to_what_is_there(go):
    first, _ = go()
    more, events = go(seeds=3)
    assert set(more.cached) == set(first.done)
    assert len(trained(events)) == len(more.done) == 4
    assert {run.seed for run in tiny_plan(3).runs if run.id in more.done} == {2}


INTERRUPTED = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
import fake_work
from mmbench.execution.devices import Placement
from mmbench.execution.local import LocalExecutor
from mmbench.api import run_plan
executor = LocalExecutor(("cpu", "cpu"), function="fake_work:{work}")
summary = run_plan(fake_work.tiny_plan(), results=Path({results!r}), workers=Placement(("cpu", "cpu"), 1),
                   executor=executor, listener=lambda event: print(type(event).__name__, flush=True))
print(len(summary.done), len(summary.cached))
"""


def test_after_a_kill_the_same_call_goes_on(tmp_path):
    results = tmp_path / "tiny"

    def start(work):
        text = INTERRUPTED.format(path=[os.path.dirname(fake_work.__file__)], results=str(results), work=work)
        return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)

    process = start("slow_record")
    wait_until(lambda: len(ResultStore(results).finished()) >= 2, 60)
    process.kill()
    process.communicate()
    done = len(ResultStore(results).finished())
    assert 2 <= done < 10
    output, _ = start("record").communicate(timeout=60)
    finished, cached = map(int, output.split()[-2:])
    assert finished + cached == 10
    assert cached >= done
    assert json.loads((results / "plan.json").read_text())["protocol"]["name"] == "tiny"


def test_a_forced_cell_that_fails_is_failed_and_its_old_record_is_not_shown(go, tmp_path):
    go()
    forced, _ = go(work="record_but_enc_seed_0", only="method=enc,seed=0", force=True)
    assert forced.exit_code == 1
    assert len(forced.failed) == 2
    store = ResultStore(tmp_path / "tiny")
    assert set(store.failed()) == set(forced.failed)
    assert not store.finished() & set(forced.failed)
    after, events = go()
    assert trained(events) == []
    assert after.exit_code == 1
    assert set(after.failed) == set(forced.failed)
    mended, _ = go(retry_failed=True)
    assert set(mended.done) == set(forced.failed)
    assert mended.exit_code == 0


def test_finished_cells_of_another_method_source_are_told(go, tmp_path):
    go()
    plan = tiny_plan()
    plan.methods["enc"] = plan.methods["enc"].model_copy(update={"source_digest": "changed"})
    plan.protocol = plan.protocol.model_copy(update={"keep": ["weights"]})
    run_plan(plan, results=tmp_path / "tiny", workers=ONE)
    assert plan.notes[1:] == [
        "enc: 4 finished runs were made with another version of its source; --force trains them again",
        "8 finished runs hold no weights; --force trains them again",
    ]
