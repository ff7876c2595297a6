"""Which devices and how many workers, found out without importing torch into this process."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmbench.errors import UserError, suggestion
from mmbench.processors import usable_cpus
from mmbench.text import plural

_GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/nvidia-caps", "/dev/kfd", "/dev/dxg")
"""NVIDIA (whole GPUs, then slices of one), AMD, and either under WSL."""
_GPU_THREADS = 4
"""A run that trains on a GPU has little for more CPU threads to do."""
_ASK_TORCH = "import torch; print('gpus', torch.cuda.device_count() if torch.cuda.is_available() else 0)"


@dataclass(frozen=True)
class Placement:
    """The workers of a run.

    Attributes
    ----------
    devices : tuple of str
        One per worker: ``cpu`` or ``cuda:<index>``.
    threads : int
        CPU threads of each worker. Always 1 on the CPU, where the order of a sum depends on it: a run's
        scores must not change with the number of workers.
    """

    devices: tuple[str, ...]
    threads: int

    def describe(self) -> str:
        """Return the workers in a few words, for example ``2 workers on cuda:0, cuda:1``."""
        return f"{plural(len(self.devices), 'worker')} on {', '.join(dict.fromkeys(self.devices))}"


def place(device: str = "auto", jobs: int | str = "auto") -> Placement:
    """Return the workers for a device and a number of jobs as the user gave them.

    Parameters
    ----------
    device : str
        ``auto`` (every GPU if there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:<index>``.
    jobs : int or str
        Runs side by side. ``auto`` is one per usable CPU, or one per GPU.

    Raises
    ------
    UserError
        If either is not understood, or there is no such GPU.
    """
    count = _job_count(jobs)
    places = _devices(device)
    if places == ("cpu",):
        return Placement(places * (count or usable_cpus()), 1)
    count = count or len(places)
    threads = max(1, min(_GPU_THREADS, usable_cpus() // count))
    return Placement(tuple(places[index % len(places)] for index in range(count)), threads)


@cache
def gpu_count() -> int:
    """Return how many GPUs torch can use; torch is asked in another process, and only if a driver shows."""
    root = Path("/")
    if not any(any(root.glob(pattern.lstrip("/"))) for pattern in _GPU_FILES):
        return 0
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"^gpus (\d+)$", answer.stdout, re.MULTILINE)
    return int(found.group(1)) if found else 0


def _job_count(jobs: int | str) -> int | None:
    if jobs == "auto":
        return None
    try:
        count = int(jobs)
    except ValueError:
        count = 0
    if not 1 <= count <= 1024:
        raise UserError(f"jobs: {jobs!r} is not a number of workers; give 1 to 1024, or auto")
    return count


def _devices(device: str) -> tuple[str, ...]:
    kind, _, index = device.partition(":")
    if device == "cpu" or (device == "auto" and not gpu_count()):
        return ("cpu",)
    if (
        kind not in ("auto", "cuda")
        or (kind == "auto" and index)
        or (":" in device and not index.isdecimal())
    ):
        raise UserError(f"device: unknown device {device!r}; {suggestion(device, _SPELLINGS)}")
    count = gpu_count()
    if not count:
        raise UserError(f"device: {device} was asked for, but torch finds no GPU here; use cpu or auto")
    if index and int(index) >= count:
        raise UserError(f"device: there is no {device}; the last one is cuda:{count - 1}")
    return (f"cuda:{int(index)}",) if index else tuple(f"cuda:{number}" for number in range(count))


_SPELLINGS = ("auto", "cpu", "cuda", "cuda:0")
