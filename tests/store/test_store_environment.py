import platform
import subprocess
from importlib import metadata

import pytest

from mmbench.store import environment
from mmbench.store.environment import capture

git_state = environment._git_state  # noqa: SLF001  capture() asks of mmbench's own folder only


@pytest.fixture(autouse=True)
def _fresh():
    git_state.cache_clear()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_versions_are_those_installed():
    found = capture()
    assert found.python == platform.python_version()
    assert found.packages["numpy"] == metadata.version("numpy")
    assert found.packages["torch"] == metadata.version("torch")
    assert found.device == "cpu"
    assert found.device_name == found.cpu != ""


def test_the_commit_and_its_changes_are_told(tmp_path):
    package = tmp_path / "mmbench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    assert git_state(package) == (None, None)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git_state.cache_clear()
    commit, dirty = git_state(package)
    assert commit is not None
    assert len(commit) == 40
    assert dirty is False
    (package / "__init__.py").write_text("# changed")
    git_state.cache_clear()
    assert git_state(package) == (commit, True)


def test_a_package_installed_inside_someone_elses_repository_has_no_commit(tmp_path):
    (tmp_path / "a.txt").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    package = tmp_path / "venv" / "mmbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert git_state(package) == (None, None)


def test_no_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, None)
