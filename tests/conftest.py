import os
import signal
from pathlib import Path

import pytest

# A shell without job control starts its background jobs with SIGINT ignored, and every program that a
# test starts would inherit that: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    wanting = [item for item in items if item.get_closest_marker("gpu")]
    if wanting:
        import torch

        if not torch.cuda.is_available():
            for item in wanting:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """One cache for the whole run, so that no test touches the user's and decoding is paid once."""
    folder = tmp_path_factory.mktemp("mmbench-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture
def cache(cache_folder, monkeypatch):
    """The run's cache, also where a test has changed the environment."""
    monkeypatch.setenv("MMBENCH_CACHE", str(cache_folder))
    return cache_folder


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """An empty cache for one test."""
    folder = tmp_path / "fresh-cache"
    monkeypatch.setenv("MMBENCH_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data():
    """The folder of real X-ray copies; mark the test ``realdata``."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MMBENCH_TEST_DATA", default))
    if not (folder / "chest_xray").is_dir():
        pytest.skip(f"no real X-ray copies at {folder}; set MMBENCH_TEST_DATA")
    return folder
