"""Terminals as people have them: narrow, without colours, in other encodings, read aloud."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution import fake_work

MAIN = f"import sys; sys.path.insert(0, {fake_work.ROOT!r}); from mmbench.cli.main import main; main()"


def call(*args, **environment):
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | environment
    return subprocess.run([sys.executable, "-c", MAIN, *args], env=env, capture_output=True, timeout=120)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp932"])
def test_an_encoding_without_a_dash_gets_a_hyphen(workplace, encoding):
    (workplace / "mine.py").write_text(
        "from mmbench.methods.base import CLASSIFICATION, Method\n"
        "from mmbench.plugins import register_method\n"
        "@register_method('mine')\n"
        "class Mine(Method):\n"
        "    '0–1 ± 2, 検査.'\n"
        "    tasks = {CLASSIFICATION}\n"
    )
    done = call("list", "methods", "--plugin", "mine.py", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    assert "0–1" in shown or "0-1" in shown
    assert ("2, 検査" if encoding == "cp932" else "2, ??") in shown


@pytest.mark.parametrize("columns", ["200", "40", "20", "0", ""])
def test_names_stay_whole_at_every_width(workplace, columns):
    shown = call("list", "methods", COLUMNS=columns).stdout.decode()
    words = shown.split()
    assert {"umtl_ssl_s", "mean_teacher", "multimix"} <= set(words)
    assert "segmentation" in words


def test_colours_are_left_out_when_asked(workplace):
    forced = call("list", "methods", FORCE_COLOR="1")
    assert b"\x1b[" in forced.stdout
    plain = call("list", "methods", FORCE_COLOR="1", NO_COLOR="1")
    assert b"\x1b[3" not in plain.stdout, "bold may stay; colours may not"


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"MMBENCH_PLAIN": "1"}])
def test_no_line_is_drawn_anew_when_plain_lines_are_asked_for(monkeypatch, environment):
    import io

    from rich.console import Console

    from mmbench.cli.output import is_live

    assert is_live(Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"}))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not is_live(Console(file=io.StringIO(), force_terminal=True))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_path_that_is_not_utf8_is_refused_before_anything_is_computed(workplace):
    (workplace / "tiny.yaml").write_text(fake_work.PROTOCOL)
    name = os.fsdecode(b"r\xf6ntgen")
    for args in (("run", "quickstart", "--results", name), ("data", "import", "kermany", name)):
        done = call(*args)
        assert done.returncode == 2
        assert done.stderr.decode() == (
            "error: r\\udcf6ntgen: its name is not UTF-8; rename it, or name another place\n"
        )
    Path(name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "list", "protocols"], cwd=name, capture_output=True, timeout=120
    )
    assert done.returncode == 2
    assert b"is not UTF-8" in done.stderr
    assert call("list", "datasets", MMBENCH_CACHE=name).returncode == 2
