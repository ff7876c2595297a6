"""``mmbench new`` and ``mmbench check``."""

import subprocess
import sys
import sysconfig

import pytest
from typer.testing import CliRunner

from mmbench.cli.main import app
from mmbench.plugins.discovery import discover

RUNNER = CliRunner()


@pytest.mark.parametrize("kind", ["method", "metric", "dataset"])
def test_a_new_plugin_keeps_the_contract_and_passes_its_own_test(tmp_path, kind):
    made = RUNNER.invoke(app, ["new", kind, "my_own", "--folder", str(tmp_path)])
    assert made.exit_code == 0
    path, test = tmp_path / "my_own.py", tmp_path / "test_my_own.py"
    assert str(path) in made.output
    assert str(test) in made.output
    checked = RUNNER.invoke(app, ["check", str(path)])
    assert checked.stdout == f"my_own ({kind}): keeps the contract\n"
    assert checked.exit_code == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_an_existing_file_and_a_bad_name_are_refused(tmp_path):
    (tmp_path / "mine.py").write_text("kept")
    again = RUNNER.invoke(app, ["new", "metric", "mine", "--folder", str(tmp_path)])
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert (tmp_path / "mine.py").read_text() == "kept"
    for name in ("Two Words", "class", "../up", ""):
        bad = RUNNER.invoke(app, ["new", "method", name, "--folder", str(tmp_path)])
        assert bad.exit_code == 2
        assert "cannot be a method's name" in bad.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_broken_method_exits_with_1_and_says_why(tmp_path):
    path = tmp_path / "random.py"
    RUNNER.invoke(app, ["new", "method", "random", "--folder", str(tmp_path)])
    path.write_text(path.read_text() + "\n    def predict(self, images, task):\n        return None\n")
    checked = RUNNER.invoke(app, ["check", str(path)])
    assert checked.exit_code == 1
    assert checked.stdout.startswith("random (method): breaks the contract\n")
    assert "predictions raises AttributeError" in checked.stdout
    assert (
        "  hyper-parameters: ok\n  ranges of hyper-parameters: ok\n  losses: ok\n  predictions: broken\n"
        in checked.stderr
    )


def test_installed_plugins_are_checked_by_name():
    assert RUNNER.invoke(app, ["check", "enc"]).stdout == "enc (method): keeps the contract\n"
    unknown = RUNNER.invoke(app, ["check", "encc"])
    assert unknown.exit_code == 2
    assert "no plugin is called 'encc'; did you mean 'enc'?" in unknown.output


def test_backbones_and_a_plugin_files_metrics_are_listed(tmp_path):
    RUNNER.invoke(app, ["new", "metric", "my_own", "--folder", str(tmp_path)])
    assert "paper_unet" in RUNNER.invoke(app, ["list", "backbones"]).stdout
    listed = RUNNER.invoke(app, ["list", "metrics", "--plugin", str(tmp_path / "my_own.py"), "--json"])
    assert '"name": "my_own"' in listed.stdout
    assert "my_own" not in RUNNER.invoke(app, ["list", "metrics"]).stdout


EXITS = """
import sys
from mmbench.data.readers import DatasetInfo, Reader
from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, NetworkMethod, register_method
from mmbench.plugins import register_dataset, register_metric

@register_method("late", reference="")
class Late(NetworkMethod):
    tasks, streams = {CLASSIFICATION}, {LABELED_CLASSIFICATION}

    def losses(self, batch):
        sys.exit(0)

@register_metric("gone", task=CLASSIFICATION, heading="G", title="gone", definition="none")
def gone(probabilities, labels, policy):
    sys.exit(0)

@register_dataset
class Leaves(Reader):
    info = DatasetInfo(name="leaves", title="t", tasks=(CLASSIFICATION,), layout="l", where="w", terms="t",
        citation="c", findings=("normal", "pneumonia"))
    folders = ("leaves",)

    def matches(self, folder):
        import argparse
        argparse.ArgumentParser().parse_args(["--nothing-like-it"])

    def scan(self, root):
        raise AssertionError
"""


@pytest.fixture
def _plugins_are_gone_again():
    yield
    discover()


@pytest.mark.usefixtures("_plugins_are_gone_again")
@pytest.mark.parametrize("library", [None, "/"], ids=["apart", "around all packages"])
def test_code_that_exits_does_not_end_a_command_as_if_all_was_well(mmbench, workplace, monkeypatch, library):
    if library:
        workplace = workplace / "site-packages"
        workplace.mkdir()
        monkeypatch.chdir(workplace)
        monkeypatch.setattr(sysconfig, "get_path", lambda name: library)
    (workplace / "exits.py").write_text(EXITS)
    found = mmbench("check", "exits.py")
    assert found.exit_code == 1
    assert "losses raises SystemExit" in found.output
    assert "gone (metric)" in found.output
    assert "raises SystemExit: 0" in found.output
    (workplace / "data" / "leaves").mkdir(parents=True)
    (workplace / "p.yaml").write_text(
        "name: p\nsources: {classification: leaves}\nbudgets: {pairs: [{classification: 2}]}\n"
        "methods: [enc]\nplugins: [exits.py]\n"
    )
    for command in (["validate", "p.yaml"], ["run", "p.yaml"]):
        found = mmbench(*command, "--data-root", "data")
        line = EXITS.splitlines().index('        argparse.ArgumentParser().parse_args(["--nothing-like-it"])')
        assert f"exits.py:{line + 1}: ends the program" in found.output
        assert found.exit_code == 2


@pytest.mark.usefixtures("_plugins_are_gone_again")
def test_a_metric_that_was_installed_since_is_not_missed_in_older_results(mmbench, results, workplace):
    (workplace / "exits.py").write_text(EXITS)
    discover([workplace / "exits.py"])
    found = mmbench("report", str(results))
    assert found.exit_code == 0, found.output
    assert "gone" not in found.output
