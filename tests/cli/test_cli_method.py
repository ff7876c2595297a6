"""``mmbench method``."""

from typer.testing import CliRunner

from mmbench.cli.main import app

RUNNER = CliRunner()


def test_a_new_method_is_written_and_keeps_the_contract(tmp_path):
    made = RUNNER.invoke(app, ["method", "new", "my_method", "--folder", str(tmp_path)])
    assert made.exit_code == 0
    path = tmp_path / "my_method.py"
    assert str(path) in made.output
    checked = RUNNER.invoke(app, ["method", "check", str(path)])
    assert checked.output == "my_method: keeps the contract\n"
    assert checked.exit_code == 0


def test_an_existing_file_and_a_bad_name_are_refused(tmp_path):
    (tmp_path / "mine.py").write_text("kept")
    again = RUNNER.invoke(app, ["method", "new", "mine", "--folder", str(tmp_path)])
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert (tmp_path / "mine.py").read_text() == "kept"
    for name in ("Two Words", "class", "../up", ""):
        bad = RUNNER.invoke(app, ["method", "new", name, "--folder", str(tmp_path)])
        assert bad.exit_code == 2
        assert "cannot be a method's name" in bad.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_broken_method_exits_with_1_and_says_why(tmp_path):
    path = tmp_path / "random.py"
    RUNNER.invoke(app, ["method", "new", "random", "--folder", str(tmp_path)])
    path.write_text(path.read_text() + "\n    def predict(self, images, task):\n        return None\n")
    checked = RUNNER.invoke(app, ["method", "check", str(path)])
    assert checked.exit_code == 1
    assert checked.output.startswith("random: breaks the contract\n  predict raises AttributeError")


def test_built_in_methods_are_checked_by_name():
    assert RUNNER.invoke(app, ["method", "check", "enc"]).output == "enc: keeps the contract\n"
    unknown = RUNNER.invoke(app, ["method", "check", "encc"])
    assert unknown.exit_code == 2
    assert "did you mean 'enc'?" in unknown.output
