"""Imports run one way, and what needs no torch imports none."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mmbench

PACKAGE = Path(mmbench.__file__).parent

# What each room may import of ours, beside itself and the shared modules.
ALLOWED = {
    "protocol": set(),
    "plugins": {"protocol", "baselines"},
    "data": {"protocol", "plugins"},
    "networks": {"protocol"},
    "methods": {"protocol", "plugins", "networks"},
    "evaluation": {"protocol", "data", "networks", "methods"},
    "training": {"protocol", "data", "networks", "methods"},
    "store": {"protocol"},
    "stats": set(),
    "claims": {"protocol", "stats"},
    "analysis": {"protocol", "store", "evaluation", "stats"},
    # Of the store the report needs the lease that writers hold, no record.
    "report": {"protocol", "store", "stats", "analysis", "claims"},
    "launch": {
        *("protocol", "plugins", "data", "networks", "methods"),
        *("evaluation", "training", "store", "stats", "report"),
    },
    "cli": {
        *("protocol", "plugins", "data", "networks", "methods"),
        *("evaluation", "training", "store", "stats", "analysis", "claims", "report", "launch"),
    },
}
SHARED = {"api", "errors", "files", "processors", "provenance", "randomness", "text"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "mmbench" and len(parts) > 1:
            yield parts[1]


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_lies_below_it(room):
    existing = {path.name for path in PACKAGE.iterdir()} | {"baselines", "protocols", "published"}
    for path in (PACKAGE / room).rglob("*.py"):
        for other in rooms_imported(path):
            known = other in existing or f"{other}.py" in existing
            if known and other != room and other not in SHARED:
                assert other in ALLOWED[room], f"{path.relative_to(PACKAGE)} imports mmbench.{other}"


def test_every_room_is_listed():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(ALLOWED)


def test_shared_modules_import_no_room():
    for name in SHARED:
        assert not set(rooms_imported(PACKAGE / f"{name}.py")) - SHARED


@pytest.mark.parametrize(
    "room", ["protocol", "plugins", "store", "stats", "analysis", "claims", "report", "cli"]
)
def test_a_room_imports_without_torch(room):
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in (PACKAGE / room).rglob("*.py")
        if path.name != "__main__.py"
    ]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_package_folder_is_in_the_wheel():
    import tomllib

    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
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
