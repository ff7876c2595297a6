"""Where a record was computed: machine, package versions, and the commit of mmbench."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from mmbench.protocol.annotations import Strict

PACKAGES = (
    "mmbench",
    "torch",
    "torchvision",
    "numpy",
    "numba",
    "pandas",
    "scipy",
    "scikit-learn",
    "timm",
    "segmentation-models-pytorch",
)
GIT_SECONDS = 10


class Environment(Strict):
    """The machine and software behind a record; no part of any identity."""

    python: str
    platform: str
    cpu: str
    device: str
    """``cpu``, or ``cuda:<index>``."""
    device_name: str
    """The accelerator's name; the processor's when there is none."""
    packages: dict[str, str]
    """Versions of the packages that scores depend on, as far as they are installed."""
    git_commit: str | None = None
    """Commit of the working copy that mmbench runs from; None for an installed package."""
    git_dirty: bool | None = None
    """Whether tracked files of that working copy differ from the commit."""


def capture(device: str = "cpu") -> Environment:
    """Describe the running process.

    Parameters
    ----------
    device : str
        Where the run is trained; an accelerator's name is known only once torch is loaded.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent.parent)
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu_name(),
        device=device,
        device_name=_device_name(device),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _device_name(device: str) -> str:
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return _cpu_name()
    return str(torch.cuda.get_device_name(device))


@cache
def _git_state(package: Path) -> tuple[str | None, bool | None]:
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    changes = _git(package, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
