import shutil
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbench.api import run_plan
from mmbench.cli.main import app
from mmbench.execution.devices import Placement
from mmbench.execution.local import LocalExecutor
from tests.execution import fake_work


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def mmbench(workplace):
    """Run a command line in this process and return its result."""
    runner = CliRunner()

    def call(*args):
        return runner.invoke(app, list(map(str, args)))

    return call


@pytest.fixture
def work(monkeypatch):
    """Choose the work function of ``mmbench run``, and plan without data."""

    def choose(name):
        def make_plan(protocol, *, data_root, plugins, on_dataset):
            on_dataset("phantom:paediatric_ap")
            return fake_work.tiny_plan()

        monkeypatch.setattr("mmbench.planning.plan.make_plan", make_plan)
        local = partial(LocalExecutor, function=f"tests.execution.fake_work:{name}")
        monkeypatch.setattr("mmbench.execution.executors.LocalExecutor", local)

    Path("tiny.yaml").write_text(fake_work.PROTOCOL)
    return choose


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A results folder with 8 finished runs and 2 failed ones, to be copied."""
    executor = LocalExecutor(["cpu", "cpu"], function="tests.execution.fake_work:record_but_enc_seed_0")
    folder = tmp_path_factory.mktemp("finished") / "results" / "tiny"
    run_plan(fake_work.tiny_plan(), folder, Placement(("cpu",), 1), executor=executor)
    return folder


@pytest.fixture
def results(workplace, finished):
    """A results folder with 8 finished runs and 2 failed ones."""
    return Path(shutil.copytree(finished, workplace / "results" / "tiny"))
