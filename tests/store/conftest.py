import pytest

from mmbench.protocol.runs import RunSpec
from mmbench.store.store import ResultStore
from tests.store.made_records import make_run


@pytest.fixture
def store(tmp_path) -> ResultStore:
    return ResultStore(tmp_path / "demo")


@pytest.fixture
def run() -> RunSpec:
    return make_run()
