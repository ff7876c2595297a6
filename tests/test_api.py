import json
import subprocess
import sys
from dataclasses import replace

import pytest

from mmbench.api import run, run_plan
from mmbench.errors import StoreError, UserError
from mmbench.execution.devices import Placement
from mmbench.execution.executor import Failed, Finished, Progress, Started
from mmbench.execution.local import LocalExecutor
from mmbench.planning.work import Request, take_stock
from mmbench.running.events import Planned
from mmbench.running.tasks import Options
from mmbench.store import frames
from mmbench.store.store import ResultStore
from tests.execution import fake_work
from tests.execution.fake_work import alive, tiny_plan, wait_until
from tests.execution.inline import PROTOCOL

ONE, TWO = Placement(("cpu",), 1), Placement(("cpu", "cpu"), 1)


@pytest.fixture
def go(tmp_path):
    """Run the tiny plan with fake work in real processes; return the summary and the events."""

    def run(work="record", workers=ONE, seeds=2, **options):
        events = []
        executor = LocalExecutor(workers.devices, function=f"tests.execution.fake_work:{work}")
        chosen = Options(request=Request(**options))
        summary = run_plan(
            tiny_plan(seeds),
            tmp_path / "tiny",
            workers,
            chosen,
            listener=events.append,
            executor=executor,
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
    assert (summary.trained, summary.predicted, summary.scored) == (10, 10, 10)
    again, events = go()
    assert trained(events) == []
    assert again.done == ()
    assert set(again.cached) == set(summary.done)
    (planned,) = events
    assert isinstance(planned, Planned)
    work = planned.work
    assert (work.pending, len(work.finished), work.skipped) == ((), 10, ())
    assert (again.trained, again.predicted, again.scored) == (0, 0, 0)


def test_events_come_in_order(go):
    _, events = go(only="method=enc,seed=0,classification=4")
    assert [type(event) for event in events] == [Planned, Started, Progress, Finished]
    assert events[0].notes == ("a known fact",)
    assert events[0].workers == "1 worker on cpu"
    work = events[0].work
    assert [(run.describe(), work.costs[run.id] > 0) for run in work.pending] == [
        ("enc cla=4 subset=0 seed=0", True)
    ]
    assert [work.count(layer) for layer in ("run", "predictions", "scores")] == [1, 1, 1]


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
        "cases": {"classification": {"paediatric_ap": 60}},
        "parts": {"classification": {"train": 40, "validation": 0, "test": 60}},
        "leaks": {"overlaps": []},
        "trivial_baselines": ["majority"],
        "transductive": {},
        "rows": {
            "enc": {"family": "", "sees": ["labels (classification)"]},
            "encssl": {
                "family": "",
                "sees": ["labels (classification)", "unlabelled images (classification)"],
            },
            "majority": {"family": "", "sees": ["labels"]},
        },
        "metrics": [],
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

    executor = LocalExecutor(function="tests.execution.fake_work:record_but_enc_seed_0")
    run_plan(tiny_plan(), store.root, ONE, listener=listener, executor=executor)
    assert seen == [True, True]


def test_retry_failed_leaves_runs_alone_that_never_ran(go):
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


def test_trivial_baselines_alone_make_a_report(go):
    """There is nothing to compare or to rank."""
    summary, _ = go(only="method=majority")
    assert len(summary.done) == 2
    assert summary.report.page.is_file()


def test_force_run_trains_again_and_replaces(go):
    first, _ = go(only="id=" + tiny_plan().runs[0].id)
    record = first.results / "runs" / first.done[0] / "run.json"
    before = record.stat().st_mtime_ns
    second, events = go(only="id=" + tiny_plan().runs[0].id, force="run")
    assert trained(events) == list(first.done) == list(second.done)
    assert record.stat().st_mtime_ns > before


def test_force_and_retry_failed_contradict(go):
    with pytest.raises(UserError, match="contradict"):
        go(force="run", retry_failed=True)


def test_an_exception_in_the_listener_ends_the_workers(tmp_path):
    class Stop(Exception):
        pass

    def listener(event):
        if isinstance(event, Progress):
            raise Stop

    executor = LocalExecutor(("cpu", "cpu"), function="tests.execution.fake_work:endless")
    with pytest.raises(Stop):
        run_plan(tiny_plan(), tmp_path / "tiny", TWO, listener=listener, executor=executor)
    pids = [int(p) for file in (tmp_path / "tiny").glob("pids.*") for p in file.read_text().split()]
    assert pids
    wait_until(lambda: not any(map(alive, pids)))


def test_longest_first(go, tmp_path):
    work = take_stock(tiny_plan(), ResultStore(tmp_path / "none"), Request())
    assert [run.label for run in work.pending] == ["encssl"] * 4 + ["enc"] * 4 + ["majority"] * 2
    _, events = go()
    assert [run.id for run in events[0].work.pending] == trained(events)
    # 10 steps of 10 images, three passes each, and one pass for each of the 60 test cases
    enc = next(run for run in work.pending if run.label == "enc")
    assert work.costs[enc.id] == 10 * 10 * 3 + 60


def test_an_executor_is_chosen_by_name_or_given(tmp_path):
    class Nowhere:
        def run(self, tasks):
            return iter(())

        def stop(self):
            pass

    summary = run_plan(tiny_plan(), tmp_path / "tiny", ONE, executor=Nowhere())
    assert (summary.done, summary.trained) == ((), 0)
    with pytest.raises(UserError, match="executor: unknown executor 'cloud'; valid: local"):
        run_plan(tiny_plan(), tmp_path / "tiny", ONE, executor="cloud")


def test_a_folder_of_the_old_format_is_refused_before_anything_is_written(tmp_path):
    old = tmp_path / "old"
    (old / "cells").mkdir(parents=True)
    (old / "plan.json").write_text('{"format": 1}')
    before = sorted(old.rglob("*"))
    with pytest.raises(StoreError, match="holds records of an earlier format"):
        run("quickstart", results=old)
    with pytest.raises(StoreError, match="holds records of an earlier format"):
        run_plan(tiny_plan(), old, ONE)
    assert sorted(old.rglob("*")) == before


def test_another_seed_adds_to_what_is_there(go):
    first, _ = go()
    more, events = go(seeds=3)
    assert set(more.cached) == set(first.done)
    assert len(trained(events)) == len(more.done) == 4
    assert {run.seed for run in tiny_plan(3).runs if run.id in more.done} == {2}


INTERRUPTED = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.execution import fake_work
from mmbench.execution.devices import Placement
from mmbench.execution.local import LocalExecutor
from mmbench.api import run_plan
executor = LocalExecutor(("cpu", "cpu"), function="tests.execution.fake_work:{work}")
summary = run_plan(fake_work.tiny_plan(), Path({results!r}), Placement(("cpu", "cpu"), 1),
                   executor=executor, listener=lambda event: print(type(event).__name__, flush=True))
print(len(summary.done), len(summary.cached))
"""


def test_after_a_kill_the_same_call_resumes(tmp_path):
    results = tmp_path / "tiny"

    def start(work):
        text = INTERRUPTED.format(root=fake_work.ROOT, results=str(results), work=work)
        return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)

    process = start("slow_record")
    wait_until(lambda: len(ResultStore(results).scores.ids()) >= 2, 60)
    process.kill()
    process.communicate()
    done = len(ResultStore(results).scores.ids())
    assert 2 <= done < 10
    output, _ = start("record").communicate(timeout=60)
    finished, cached = map(int, output.split()[-2:])
    assert finished + cached == 10
    assert cached >= done
    assert json.loads((results / "plan.json").read_text())["protocol"]["name"] == "tiny"


def test_a_forced_run_that_fails_is_failed_and_its_old_record_is_not_shown(go, tmp_path):
    go()
    forced, _ = go(work="record_but_enc_seed_0", only="method=enc,seed=0", force="run")
    assert forced.exit_code == 1
    assert len(forced.failed) == 2
    store = ResultStore(tmp_path / "tiny")
    assert set(store.failed()) == set(forced.failed)
    assert not {run.id for run in frames.trained(store, store.load_plan())} & set(forced.failed)
    after, events = go()
    assert trained(events) == []
    assert after.exit_code == 1
    assert set(after.failed) == set(forced.failed)
    repaired, _ = go(retry_failed=True)
    assert set(repaired.done) == set(forced.failed)
    assert repaired.exit_code == 0


def test_finished_runs_of_another_source_are_told(go, tmp_path, monkeypatch):
    go()
    plan = tiny_plan()
    methods = {**plan.methods, "enc": plan.methods["enc"].model_copy(update={"source_digest": "changed"})}
    events = []
    monkeypatch.setattr("mmbench.planning.work.engine_digest", lambda layer: f"{layer} changed")
    options = Options(allow_mixed=True)
    run_plan(replace(plan, methods=methods), tmp_path / "tiny", ONE, options, listener=events.append)
    assert events[0].notes[1:] == (
        "enc: 4 finished runs made with another version of the method's source; --force run trains again",
        "10 finished records (run) made with another version of mmbench's own source; --force run makes "
        "them again",
        "10 finished records (predictions) made with another version of mmbench's own source; --force "
        "predictions makes them again",
        "10 finished records (scores) made with another version of mmbench's own source; --force scores "
        "makes them again",
        "10 finished runs without weights; --force run trains again",
    )


def test_new_runs_beside_old_ones_of_another_source_are_refused(go, tmp_path, monkeypatch):
    go()
    monkeypatch.setattr("mmbench.planning.work.engine_digest", lambda layer: f"{layer} changed")
    with pytest.raises(StoreError, match="records of one table differ in engine's source for run"):
        run_plan(tiny_plan(3), tmp_path / "tiny", ONE)


SCRIPT = """
import mmbench
from mmbench.baselines.enc import Enc
from mmbench.plugins import register_method

@register_method("mine")
class Mine(Enc):
    '''A method of the script that runs it.'''

def main():
    protocol = mmbench.parse_protocol({protocol!r})
    print(mmbench.run(protocol, results="r", jobs=1, device="cpu").trained)

{call}
"""


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_script_that_registers_a_method_can_run_it(tmp_path, guarded):
    protocol = PROTOCOL.replace("[unet, umtl]", "[mine]").replace("[majority, mean_mask]", "[]")
    call = 'if __name__ == "__main__":\n    main()' if guarded else "main()"
    (tmp_path / "script.py").write_text(SCRIPT.format(protocol=protocol, call=call))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    if guarded:
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    else:
        assert done.returncode == 1
        message = 'uses mmbench while it is imported as a plugin; put that under if __name__ == "__main__"'
        assert message in done.stderr
        assert not list(tmp_path.glob("r/runs/*"))
