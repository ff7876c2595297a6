"""Where decoded data and remembered imports are kept."""

from pathlib import Path

import pytest

from mmbench.data import remembered
from mmbench.data.cache import cache_root, config_root
from mmbench.errors import DataError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user with an empty home folder and no settings."""
    for name in ("MMBENCH_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def test_the_usual_places_are_the_platforms(home, monkeypatch):
    assert cache_root() == home / ".cache" / "mmbench"
    assert config_root() == home / ".config" / "mmbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "caches"))
    assert cache_root() == home / "caches" / "mmbench"


def test_one_folder_can_be_chosen_for_both(home, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", "~/mine")
    assert cache_root() == config_root() == home / "mine"


def test_an_import_is_remembered_when_the_cache_is_emptied(home):
    remembered.remember(remembered.Import(name="kermany", root=Path("/data")))
    assert not cache_root().exists()
    assert remembered.recall("kermany").root == Path("/data")


@pytest.mark.parametrize("override", ["", "~/mine"])
def test_no_home_folder_is_told_in_one_line(home, monkeypatch, override):
    import pwd

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("MMBENCH_CACHE", override)
    for root in (cache_root, config_root):
        with pytest.raises(DataError, match=r"^there is no home folder for the .*MMBENCH_CACHE$"):
            root()
