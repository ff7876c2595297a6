import os
import subprocess
import sys

import pytest

from mmbench.errors import UserError
from mmbench.execution import devices
from mmbench.execution.devices import Placement, place


@pytest.fixture
def machine(monkeypatch):
    def pretend(cpus, gpus):
        monkeypatch.setattr(devices, "usable_cpus", lambda: cpus)
        monkeypatch.setattr(devices, "gpu_count", lambda: gpus)

    return pretend


@pytest.mark.parametrize(
    ("cpus", "gpus", "device", "jobs", "expected"),
    [
        (4, 0, "auto", "auto", Placement(("cpu",) * 4, 1)),
        (4, 0, "auto", 2, Placement(("cpu",) * 2, 1)),
        (2, 0, "cpu", "5", Placement(("cpu",) * 5, 1)),
        (8, 2, "cpu", "auto", Placement(("cpu",) * 8, 1)),
        (8, 2, "auto", "auto", Placement(("cuda:0", "cuda:1"), 4)),
        (8, 2, "cuda", 3, Placement(("cuda:0", "cuda:1", "cuda:0"), 2)),
        (8, 2, "cuda:1", "auto", Placement(("cuda:1",), 4)),
        (2, 1, "cuda:0", 4, Placement(("cuda:0",) * 4, 1)),
    ],
)
def test_workers_are_placed(machine, cpus, gpus, device, jobs, expected):
    machine(cpus, gpus)
    assert place(device, jobs) == expected


@pytest.mark.parametrize(
    ("gpus", "device", "message"),
    [
        (0, "gpu", "device: unknown device 'gpu'"),
        (0, "cudo", "device: unknown device 'cudo'; did you mean 'cuda'?"),
        (0, "mps", "device: unknown device 'mps'; valid: auto, cpu, cuda, cuda:0"),
        (1, "cuda:", "device: unknown device 'cuda:'"),
        (1, "cuda:x", "device: unknown device 'cuda:x'"),
        (1, "cuda:-1", "device: unknown device 'cuda:-1'"),
        (1, "cpu:0", "device: unknown device 'cpu:0'"),
        (1, "auto:0", "device: unknown device 'auto:0'"),
        (1, "", "device: unknown device ''"),
        (0, "cuda", "device: cuda was asked for, but torch finds no GPU here; use cpu or auto"),
        (0, "cuda:0", "device: cuda:0 was asked for, but torch finds no GPU here"),
        (2, "cuda:2", "device: there is no cuda:2; the last one is cuda:1"),
    ],
)
def test_an_impossible_device_is_told(machine, gpus, device, message):
    machine(2, gpus)
    with pytest.raises(UserError) as caught:
        place(device)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("jobs", [0, -1, "many", "", "1.5", 5000])
def test_an_impossible_number_of_jobs_is_told(jobs):
    with pytest.raises(UserError, match="jobs: .* give 1 to 1024, or auto"):
        place("cpu", jobs)


def test_the_number_of_cpus_follows_the_affinity_mask():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity masks here")
    one = min(os.sched_getaffinity(0))
    text = (
        f"import os; os.sched_setaffinity(0, {{{one}}})\n"
        "from mmbench.processors import usable_cpus; print(usable_cpus())"
    )
    assert subprocess.check_output([sys.executable, "-c", text], text=True).strip() == "1"


def test_looking_for_devices_does_not_import_torch():
    text = (
        "import sys; from mmbench.execution.devices import place; place(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_placements_are_told_in_a_few_words():
    assert Placement(("cpu",), 1).describe() == "1 worker on cpu"
    assert Placement(("cuda:0", "cuda:1", "cuda:0"), 1).describe() == "3 workers on cuda:0, cuda:1"
