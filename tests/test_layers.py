"""Imports run one way (contracts in pyproject.toml), and what needs no torch imports none."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import mmbench

PACKAGE = Path(mmbench.__file__).parent
ROOT = PACKAGE.parent
TORCH_FREE = ("protocol", "plugins", "store", "stats", "analysis", "claims", "report", "cli")


def test_imports_follow_the_contracts(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize("room", TORCH_FREE)
def test_a_room_imports_without_torch(room):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (PACKAGE / room).rglob("*.py")
        if path.name != "__main__.py"
    ]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_package_folder_is_in_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        "mmbench." + ".".join(path.parent.relative_to(PACKAGE).parts)
        for path in PACKAGE.rglob("__init__.py")
        if path.parent != PACKAGE
    }
    assert set(settings["packages"]) == folders | {
        "mmbench",
        "mmbench.baselines",
        "mmbench.protocols",
        "mmbench.published",
    }
