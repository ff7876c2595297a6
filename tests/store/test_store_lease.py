"""Leases: one holder at a time; the dead hold nothing."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mmbench.store import lease as module
from mmbench.store.lease import lease, leased


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


def hold(folder, name, seconds=1000.0):
    """Hold a lease in another process, and return that process once it does."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom mmbench.store.lease import lease\n"
        f"with lease(Path({str(folder)!r}), {name!r}) as held:\n"
        f"    print(held, flush=True)\n    time.sleep({seconds})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    return process


def foreign(folder, name, age, generation=1):
    """Leave a lease of another machine whose last sign of life is ``age`` seconds old."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{generation}"
    path.write_text(json.dumps({"machine": "elsewhere", "process": 1, "started": "1"}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_one_holder_at_a_time(folder):
    with lease(folder, "a") as first, lease(folder, "a") as second, lease(folder, "b") as other:
        assert (first, second, other) == (True, False, True)
        assert leased(folder) == {"a", "b"}
    with lease(folder, "a") as again:
        assert again
    assert list(folder.iterdir()) == []


def test_another_process_holds_it_until_it_is_killed(folder):
    process = hold(folder, "a")
    with lease(folder, "a") as held:
        assert not held
    process.kill()
    process.wait()
    process.stdout.close()
    with lease(folder, "a") as held:
        assert held
        assert [path.name for path in folder.iterdir()] == ["a.2"]


def test_a_living_process_of_this_machine_holds_however_silent(folder, monkeypatch):
    with lease(folder, "a"):
        os.utime(folder / "a.1", (0, 0))
        with lease(folder, "a") as held:
            assert not held


def test_a_process_that_got_the_number_of_a_dead_one_does_not_hold(folder):
    with lease(folder, "a"):
        content = json.loads((folder / "a.1").read_text())
    foreign(folder, "a", 0).write_text(json.dumps({**content, "started": "1"}))
    with lease(folder, "a") as held:
        assert held


@pytest.mark.parametrize(("age", "expected"), [(0, False), (60, False), (119, False), (121, True)])
def test_on_another_machine_only_the_sign_of_life_counts(folder, age, expected):
    foreign(folder, "a", age)
    with lease(folder, "a") as held:
        assert held is expected


@pytest.mark.parametrize("content", ["", "{", "[]", '{"machine": 3}'])
def test_an_unreadable_lease_holds_until_it_is_old(folder, content):
    path = foreign(folder, "a", 0)
    path.write_text(content)
    with lease(folder, "a") as held:
        assert not held
    os.utime(path, (time.time() - 500,) * 2)
    with lease(folder, "a") as held:
        assert held


def test_the_sign_of_life_is_given(folder, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    with lease(folder, "a"):
        os.utime(folder / "a.1", (0, 0))
        end = time.monotonic() + 10
        while (folder / "a.1").stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_one_who_looked_too_long_ago_steps_back(folder, monkeypatch):
    """Between a look at generation 1 and the making of 2, others took 2, died, and took 3."""
    foreign(folder, "a", 500)
    looks = []
    held = module._held  # noqa: SLF001  others come between two steps of lease()

    def slow(folder, name):
        found = held(folder, name)
        if not looks:
            looks.append(found)
            (folder / "a.1").unlink()
            foreign(folder, "a", 0, generation=3)
        return found

    monkeypatch.setattr(module, "_held", slow)  # private: others come between two steps of lease()
    with lease(folder, "a") as got:
        assert not got
    assert [path.name for path in folder.iterdir()] == ["a.3"]


CONTENDER = """
import os, sys, time
from pathlib import Path
from mmbench.store.lease import lease
folder, done = Path(sys.argv[1]), Path(sys.argv[2])
for name in map(str, range(30)):
    while not (done / name).exists():
        with lease(folder, name) as held:
            if held and not (done / name).exists():
                with (done / "log").open("a") as log:
                    log.write(f"{name} in\\n")
                time.sleep(0.002)
                with (done / "log").open("a") as log:
                    log.write(f"{name} out\\n")
                (done / name).touch()
"""


def test_eight_contenders_do_everything_once(folder, tmp_path):
    for number in range(30):
        foreign(folder, str(number), 500)  # every one must first be taken over from the dead
    done = tmp_path / "done"
    done.mkdir()
    command = [sys.executable, "-c", CONTENDER, str(folder), str(done)]
    processes = [subprocess.Popen(command) for _ in range(8)]
    assert [process.wait(120) for process in processes] == [0] * 8
    lines = Path(done / "log").read_text().splitlines()
    assert Counter(lines) == Counter(f"{n} {what}" for n in range(30) for what in ("in", "out"))
    for number in range(30):
        own = [line for line in lines if line.split()[0] == str(number)]
        assert own == [f"{number} in", f"{number} out"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"), lease(tmp_path / "file" / "leases", "a"):
        pass
