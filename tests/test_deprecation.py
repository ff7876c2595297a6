"""What is deprecated is told, and gone when its time has come."""

import warnings

import pytest
from packaging.version import Version

import mmbench
from mmbench import deprecation
from mmbench.deprecation import KNOWN, MmbenchDeprecationWarning, deprecated
from mmbench.protocol.vocabulary import dataset_name


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(deprecation, "KNOWN", {})


def test_nothing_is_overdue():
    now = Version(mmbench.__version__)
    overdue = [one.text for one in KNOWN.values() if Version(one.removal) <= now]
    assert KNOWN
    assert not overdue, "remove these before the release"
    assert all(Version(one.since) < Version(one.removal) for one in KNOWN.values())


def test_an_old_name_of_a_data_set_works_and_is_told():
    with pytest.warns(
        MmbenchDeprecationWarning, match=r"'mcu' is deprecated since mmbench .*; use 'montgomery'"
    ):
        assert dataset_name("mcu") == "montgomery"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dataset_name("montgomery") == "montgomery"


def test_a_deprecated_function_works_and_points_to_the_caller(known):
    @deprecated("double()", since="0.1", removal="0.3")
    def twice(number: int) -> int:
        """Return twice a number."""
        return 2 * number

    with pytest.warns(MmbenchDeprecationWarning, match=r"twice is deprecated .*; use double\(\)") as caught:
        assert twice(4) == 8
    assert caught[0].filename == __file__
    assert twice.__doc__ == "Return twice a number."
    assert [one.removal for one in deprecation.KNOWN.values()] == ["0.3"]


def test_the_command_line_tells_it_in_one_line(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "old.yaml"
    path.write_text(
        "name: old\nsources: {classification: chex}\n"
        "budgets: {pairs: [{classification: full}]}\nmethods: [enc]\n"
    )
    command = "from mmbench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "validate", str(path), "--no-data"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr.startswith(
        "warning: data set name 'chex' is deprecated since mmbench 0.1; use 'kermany'"
    )
    assert done.stderr.count("\n") == 1
