"""The benchmarks still fit the package that they measure."""

import importlib
from pathlib import Path

import pytest

from benchmarks.performance import engine

ROOT = Path(__file__).parents[1]
NAMES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
]


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported_and_does_nothing_then(name, capsys):
    if name.endswith("against_adastop"):
        pytest.importorskip("adastop")
    importlib.import_module(name)
    assert capsys.readouterr().out == ""


def test_what_the_engine_is_measured_by_is_there():
    assert all(callable(getattr(owner, name)) for owner, name in engine.WATCHED)
