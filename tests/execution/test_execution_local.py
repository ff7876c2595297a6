import platform
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from mmbench.execution.executor import Elsewhere, Failed, Finished, Found, Progress, Started
from mmbench.execution.local import ALLOCATION, LocalExecutor
from mmbench.store.lease import lease
from mmbench.store.store import ResultStore
from tests.execution import fake_work
from tests.execution.fake_work import alive, tasks_of, tiny_plan, wait_until


@pytest.fixture
def tasks(tmp_path):
    return tasks_of(tiny_plan(), tmp_path / "tiny")


def executor(work, devices=("cpu",), **options):
    return LocalExecutor(devices, function=f"tests.execution.fake_work:{work}", **options)


def pids(tmp_path):
    files = list((tmp_path / "tiny").glob("pids.*"))
    return [int(pid) for file in files for pid in file.read_text().split()]


def test_every_task_ends_once_in_order_on_one_worker(tasks):
    events = list(executor("fine").run(tasks))
    assert [event.id for event in events if isinstance(event, Finished)] == [task.id for task in tasks]
    assert [event.id for event in events if isinstance(event, Started)] == [task.id for task in tasks]
    assert [event.outcome.headline["seed"] for event in events if isinstance(event, Finished)] == [
        task.run.seed for task in tasks
    ]


def test_nothing_to_do_starts_nothing():
    local = executor("fine")
    assert list(local.run([])) == []


def test_workers_are_kept_and_put_their_device_into_the_task(tasks):
    events = list(executor("who", devices=["cuda:0", "cuda:1"], threads=3).run(tasks))
    found = [event for event in events if isinstance(event, Finished)]
    assert len(found) == len(tasks)
    assert len({event.outcome.headline["pid"] for event in found}) == 2
    assert {(event.worker, event.outcome.headline["device"]) for event in found} == {(0, 0), (1, 1)}
    assert {event.outcome.headline["threads"] for event in found} == {3}


def test_threads_are_set_before_the_worker_imports_anything(tasks):
    (event,) = [e for e in executor("fine", threads=2).run(tasks[:1]) if isinstance(e, Finished)]
    assert event.outcome.headline["threads"] == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_keeps_freed_memory_unless_the_user_set_otherwise(tasks, monkeypatch, kept):
    for name in ALLOCATION:
        monkeypatch.delenv(name, raising=False)
        if not kept:
            monkeypatch.setenv(name, "glibc.malloc.hugetlb=0" if name == "GLIBC_TUNABLES" else "65536")
    (event,) = [e for e in executor("forgetful").run(tasks[:1]) if isinstance(e, Finished)]
    assert (event.outcome.headline["pages"] < 10) == kept, event.outcome.headline


def test_progress_is_throttled(tasks):
    events = [event for event in executor("chatty").run(tasks[:1]) if isinstance(event, Progress)]
    assert 1 <= len(events) <= 4
    assert events[0].steps == 1000
    assert events[0].phase == "train"


def test_garbage_on_standard_output_goes_to_the_log(tasks, capfd):
    events = list(executor("noisy").run(tasks[:2]))
    assert [type(event) for event in events] == [Started, Finished] * 2
    assert capfd.readouterr() == ("", "")
    log = (tasks[0].results / "logs" / f"{tasks[0].id}.log").read_bytes()
    assert all(part in log for part in (b"x" * 100_000, b"garbage", b"\x00\x01\x02raw", b"native", b"child"))


def test_silent_work_leaves_no_log(tasks):
    list(executor("fine").run(tasks[:1]))
    assert not (tasks[0].results / "logs").exists()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_worker_that_dies_fails_its_own_run_only(tasks, workers):
    events = list(executor("moody", devices=["cpu"] * workers).run(tasks))
    ended = [event for event in events if isinstance(event, Finished | Failed)]
    assert Counter(event.id for event in ended) == dict.fromkeys((task.id for task in tasks), 1)
    runs = {task.id: task.run for task in tasks}
    errors = {runs[event.id].describe(): event.error for event in ended if isinstance(event, Failed)}
    assert errors == {
        "enc cla=4 subset=0 seed=0": "ValueError: two lines",
        "enc cla=4 subset=0 seed=1": "worker killed by signal 9 (out of memory?)",
        "enc cla=8 subset=0 seed=0": "worker exited with code 3",
        "enc cla=8 subset=0 seed=1": "SystemExit: enough",
        "encssl cla=4 subset=0 seed=0": "worker killed by signal 11 (segmentation fault)",
        "encssl cla=4 subset=0 seed=1": "kermany: no such folder",
        "encssl cla=8 subset=0 seed=0": "KeyError: 'missing'",
    }
    tracebacks = {runs[event.id].describe(): event.traceback for event in ended if isinstance(event, Failed)}
    assert "moody" in tracebacks["enc cla=4 subset=0 seed=0"]
    assert "last words" in tracebacks["enc cla=4 subset=0 seed=1"]
    assert "Segmentation fault" in tracebacks["encssl cla=4 subset=0 seed=0"]


def test_what_a_failed_run_leaves_behind_does_not_fail_the_next(tasks):
    events = list(executor("messy").run(tasks))
    assert [event.id for event in events if isinstance(event, Failed)] == [tasks[0].id]
    done = [event for event in events if isinstance(event, Finished)]
    assert len(done) == len(tasks) - 1
    assert len({event.outcome.headline["pid"] for event in done}) == 1, "a worker is replaced once"


def test_work_that_cannot_be_imported_fails_every_run(tasks):
    events = list(LocalExecutor(function="no_such_module:execute").run(tasks[:3]))
    errors = [event.error for event in events if isinstance(event, Failed)]
    assert errors == ["ModuleNotFoundError: No module named 'no_such_module'"] * 3


def test_an_interpreter_that_cannot_start_fails_every_run(tasks, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    events = list(LocalExecutor(["cpu", "cpu"]).run(tasks))
    assert [event.error for event in events] == ["worker exited with code 1"] * len(tasks)


def test_an_unwritable_log_folder_does_not_hide_the_work(tasks, tmp_path):
    (tmp_path / "logs").write_text("")
    (*_, event) = executor("fine").run([replace(tasks[0], results=tmp_path)])
    assert isinstance(event, Finished)


def test_a_results_folder_that_cannot_be_written_is_told_apart_from_a_bad_run(tasks, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    (event,) = executor("fine").run([replace(tasks[0], results=blocked)])
    assert event.unwritable
    assert "cannot be written (Not a directory); free space, or choose another folder" in event.error


@pytest.mark.parametrize("work", ["endless", "stubborn"])
def test_leaving_the_iterator_ends_workers_and_their_children(tasks, tmp_path, work, monkeypatch):
    monkeypatch.setattr("mmbench.execution.local.GRACE", 0.5)
    events = executor(work, devices=["cpu", "cpu"]).run(tasks)
    started = [next(events) for _ in range(2)]
    assert {type(event) for event in started} <= {Started, Progress}
    wait_until(lambda: len(pids(tmp_path)) == 4)
    assert all(map(alive, pids(tmp_path)))
    events.close()
    wait_until(lambda: not any(map(alive, pids(tmp_path))))


@pytest.mark.parametrize("work", ["lively_for_ever", "endless"])
def test_a_run_that_takes_too_long_is_ended_and_the_next_one_runs(tasks, tmp_path, work):
    limited = replace(tasks[0], time_limit=1.0)
    events = executor(work).run([limited, replace(limited, run=tasks[1].run)])
    ends = [event for event in events if isinstance(event, Failed)]
    assert [end.id for end in ends] == [tasks[0].id, tasks[1].id]
    assert {end.error for end in ends} == {"took longer than the time limit of 1 s"}
    assert all(1.0 <= end.seconds < 30 for end in ends)
    wait_until(lambda: not any(map(alive, pids(tmp_path))))


def test_a_run_that_another_process_holds_is_waited_for(tasks):
    task, other = tasks[:2]
    seen = []
    with lease(ResultStore(task.results).leases_folder, task.id):
        events = executor("record").run([task, other])
        for event in events:
            seen.append(event)
            if isinstance(event, Finished):
                break
    seen += list(events)
    mine = [type(event) for event in seen if event.id == task.id and not isinstance(event, Progress)]
    assert mine[0] is Elsewhere
    assert mine[-2:] == [Started, Finished]
    assert [event.id for event in seen if isinstance(event, Finished)] == [other.id, task.id]


def test_a_run_that_another_process_has_done_is_found(tasks):
    task = tasks[0]
    assert isinstance(list(executor("record").run([task]))[-1], Finished)
    assert [type(event) for event in executor("record").run([task])] == [Found]
    forced = [type(event) for event in executor("record").run([replace(task, force="run")])]
    assert forced[0] is Started


def test_a_failure_of_another_process_is_passed_on_and_not_repeated(tasks):
    task = next(task for task in tasks if (task.run.label, task.run.seed) == ("enc", 0))
    (*_, first) = executor("record_but_enc_seed_0").run([task])
    assert isinstance(first, Failed)
    assert first.recorded
    (again,) = executor("record").run([task])
    assert (type(again), again.error, again.recorded) == (Failed, first.error, True)
    repeated = replace(task, failure=ResultStore(task.results).failure_version(task.id))
    assert isinstance(list(executor("record").run([repeated]))[-1], Finished)


def test_a_removed_folder_is_no_failure_of_the_run(tasks):
    (*_, ended) = executor("robbed").run(tasks[:1])
    assert isinstance(ended, Failed)
    assert ended.unwritable
    assert "the folder was removed while the command was running" in ended.error
    assert ResultStore(tasks[0].results).failed() == {}


def test_stop_from_outside_ends_the_workers(tasks, tmp_path):
    local = executor("endless")
    events = local.run(tasks)
    next(events)
    wait_until(lambda: len(pids(tmp_path)) == 2)
    local.stop()
    wait_until(lambda: not any(map(alive, pids(tmp_path))))


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.execution.fake_work import tasks_of, tiny_plan
from mmbench.execution.local import LocalExecutor
tasks = tasks_of(tiny_plan(), Path({results!r}))
for event in LocalExecutor(["cpu", "cpu"], function="tests.execution.fake_work:{work}").run(tasks):
    print(type(event).__name__, flush=True)
    {after}
"""


def script(tmp_path, work, after="pass", **options):
    text = SCRIPT.format(root=fake_work.ROOT, results=str(tmp_path / "tiny"), work=work, after=after)
    file = tmp_path / "script.py"
    file.write_text(text)
    return subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True, **options)


def test_a_script_needs_no_main_guard(tmp_path):
    process = script(tmp_path, "fine")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.split().count("Finished") == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphans_when_the_parent_is_stopped(tmp_path, number):
    process = script(tmp_path, "endless", stderr=subprocess.DEVNULL)
    wait_until(lambda: len(pids(tmp_path)) == 4)
    process.send_signal(number)
    process.wait(60)
    wait_until(lambda: not any(map(alive, pids(tmp_path))))
    process.stdout.close()


def test_no_orphans_when_the_parent_fails(tmp_path):
    process = script(tmp_path, "endless", after="event.nonsense", stderr=subprocess.DEVNULL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    wait_until(lambda: not any(map(alive, pids(tmp_path))))
