"""Full, read-only and vanished disks: one line, an exit code, no half record; the same command resumes."""

import shutil
import subprocess
import time

import pytest

from tests.faults import harness

pytestmark = pytest.mark.slow


def one_line(done):
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def on(disk, text=harness.PROTOCOL):
    return harness.write_protocol(disk, text)


def test_a_full_disk(small_disk, tmp_path, reference):
    protocol = on(small_disk(1))
    ballast = protocol.parent / "ballast"
    with ballast.open("wb") as stream:
        stream.write(b"x" * 2**19)
    line = one_line(harness.finish(protocol))
    assert "No space left on device); free space, or choose another folder with --results" in line
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(protocol.parent)], check=True)
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    assert harness.failures(protocol) == []
    harness.assert_same(harness.outcome(protocol), reference)
    harness.assert_clean(protocol)


def test_a_full_disk_under_the_cache(small_disk, tmp_path, monkeypatch):
    cache = small_disk(1)
    (cache / "ballast").write_bytes(b"x" * (2**20 - 2**14))
    monkeypatch.setenv("MMBENCH_CACHE", str(cache))
    protocol = harness.write_protocol(tmp_path / "run")
    line = one_line(harness.finish(protocol))
    assert "the cache cannot be written (No space left on device)" in line
    assert "MMBENCH_CACHE" in line
    assert not (tmp_path / "run" / "results").exists()
    (cache / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(cache)], check=True)
    assert harness.finish(protocol).returncode == 0


def test_a_read_only_folder(small_disk, reference):
    protocol = on(small_disk(64))
    assert harness.finish(protocol, "--only", "method=unet").returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(protocol.parent)], check=True)
    line = one_line(harness.finish(protocol))
    assert "cannot be written (Read-only file system)" in line
    subprocess.run(["mount", "-o", "remount,rw", str(protocol.parent)], check=True)
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(protocol), reference)


def test_a_folder_that_is_removed_under_the_run(tmp_path, reference):
    protocol = harness.write_protocol(tmp_path)
    results = tmp_path / "results"
    process = subprocess.Popen(
        harness.command(protocol), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not list((results / "runs").glob("[0-9a-f]*")):
        assert process.poll() is None
        time.sleep(0.01)
    shutil.rmtree(results, ignore_errors=True)
    shutil.rmtree(results, ignore_errors=True)
    output, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert process.returncode == 2, (output, errors)
    assert len(lines) == 1
    assert "removed while" in lines[0]
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(protocol), reference)
    harness.assert_clean(protocol)
