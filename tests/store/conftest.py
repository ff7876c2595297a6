import pytest
from made_records import make_cases, make_cell, make_record, put

from mmbench.protocol.runs import RunSpec
from mmbench.store.store import ResultStore


@pytest.fixture
def store(tmp_path) -> ResultStore:
    return ResultStore(tmp_path / "demo")


@pytest.fixture
def run() -> RunSpec:
    return make_cell()


@pytest.fixture
def tools():
    """The helpers of this file, for tests that make several runs."""

    class Tools:
        make_cell = staticmethod(make_cell)
        make_record = staticmethod(make_record)
        make_cases = staticmethod(make_cases)
        put = staticmethod(put)

    return Tools
