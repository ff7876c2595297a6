import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import mmbench as package

MODULES = """
import sys
from mmbench.cli.main import app
try:
    app({args!r})
except SystemExit as stop:
    assert not stop.code, stop.code
print("\\n" + " ".join(sys.modules))
"""
HEAVY = {"torch", "torchvision", "timm", "segmentation_models_pytorch", "monai"}


def modules_of(*args):
    """Names of the modules that a command imports."""
    text = MODULES.format(args=list(map(str, args)))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_is_instant():
    """CPU time, because a busy machine says nothing about the command."""
    best = float("inf")
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mmbench", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert best < 0.5


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["data", "show", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(args):
    found = modules_of(*args)
    assert not found & (
        HEAVY
        | {"pandas", "numpy", "scipy", "yaml", "mmbench.planning", "mmbench.execution", "mmbench.protocol"}
    )


def test_the_first_help_does_not_even_import_pydantic():
    assert "pydantic" not in modules_of("--help")


@pytest.mark.parametrize(
    "args",
    [
        ["list", "methods"],
        ["list", "datasets"],
        ["list", "protocols"],
        ["list", "metrics"],
        ["list", "datasets", "kermany"],
        ["validate", "quickstart", "--no-data"],
        ["protocol", "schema"],
    ],
)
def test_reading_commands_do_without_torch(args):
    assert not modules_of(*args) & HEAVY


def test_status_and_report_do_without_torch(results):
    assert not modules_of("status", results) & (HEAVY | {"pandas"})
    assert not modules_of("report", results) & HEAVY


def test_the_python_interface_is_lazy_and_complete():
    text = "import sys, mmbench; print(dir(mmbench), {'numpy', 'pydantic', 'yaml'} & set(sys.modules))"
    output = subprocess.check_output([sys.executable, "-c", text], text=True)
    assert all(name in output for name in package.__all__)
    assert output.endswith("set()\n")
    for name in package.__all__:
        assert getattr(package, name)
    assert package.load_protocol("quickstart").name == "quickstart"
    with pytest.raises(package.UserError):
        package.load_protocol("nothing")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


def test_the_version_is_the_installed_one(mmbench):
    assert mmbench("--version").stdout == f"mmbench {version('mmbench')}\n"
    assert package.__version__ == version("mmbench")


def test_no_command_shows_help(mmbench):
    for args in ([], ["list"], ["data"], ["protocol"]):
        assert "Usage:" in mmbench(*args).output


@pytest.mark.parametrize(
    "args", [["runn"], ["run"], ["run", "quickstart", "--jbos", "2"], ["list", "metods"], ["data", "show"]]
)
def test_a_wrong_command_line_is_exit_code_2(mmbench, args):
    result = mmbench(*args)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_closed_pipe_is_quiet(workplace):
    command = f"{sys.executable} -m mmbench list metrics --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "["
    assert done.stderr == ""


def test_an_unclosed_name_with_markup_is_shown_as_it_is(mmbench, workplace):
    result = mmbench("status", "[bold]x[/bold]")
    assert result.exit_code == 2
    assert "results/[bold]x[/bold]" in result.stderr


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_listings_fit_their_terminal(columns, workplace):
    environment = {**os.environ, "COLUMNS": str(columns)}
    for args in (["list", "methods"], ["list", "protocols"], ["list", "metrics"], ["list", "datasets"]):
        output = subprocess.check_output(
            [sys.executable, "-m", "mmbench", *args], text=True, env=environment, cwd=Path.cwd()
        )
        assert max(map(len, output.splitlines())) <= columns
