import os
import shutil
import subprocess

import pytest

from tests.faults import harness


@pytest.fixture(scope="session")
def reference(tmp_path_factory, cache_folder):
    """The records of the small protocol, not interrupted, and how the command ended."""
    protocol = harness.write_protocol(tmp_path_factory.mktemp("whole"))
    done = harness.finish(protocol, "-j", "2")
    assert done.returncode == 0, done.stderr
    found = harness.outcome(protocol)
    assert harness.count(found, "runs") == harness.RUNS
    assert harness.count(found, "predictions") == harness.count(found, "scores") == harness.SCORES
    return found


@pytest.fixture
def finished(reference, tmp_path, tmp_path_factory):
    """A copy of the uninterrupted run, to damage; returns its protocol file."""
    whole = next(tmp_path_factory.getbasetemp().glob("whole*"))
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy" / "small.yaml"


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts an empty file system of so many MB."""
    mounted = []

    def mount(megabytes):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a file system can only be mounted by root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
