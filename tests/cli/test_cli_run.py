import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution import fake_work
from tests.execution.fake_work import alive, wait_until

FAKED = """
import sys
sys.path.insert(0, {root!r})
from tests.execution import fake_work
import mmbench.planning.plan
from functools import partial
from mmbench.execution import executors
mmbench.planning.plan.make_plan = lambda protocol, **options: fake_work.tiny_plan()
executors.LocalExecutor = partial(executors.LocalExecutor, function="tests.execution.fake_work:{work}")
from mmbench.cli.main import main
main()
"""


def start(work, *args, **options):
    text = FAKED.format(root=fake_work.ROOT, work=work)
    return subprocess.Popen([sys.executable, "-c", text, *args], text=True, **options)


def test_a_run_shows_its_runs_the_table_and_where_things_are(mmbench, work):
    work("record")
    result = mmbench("run", "tiny.yaml", "--jobs", "2", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "tiny: 10 runs, 2 workers on cpu" in result.stdout
    assert "leak gate passed" in result.stdout
    assert "note    a known fact" in result.stdout
    assert result.stdout.count(" done  ") == 10
    assert "Acc 0.750" in result.stdout
    assert "10 trained, 10 predicted, 10 scored, 0 cached, 0 failed" in result.stdout
    assert "records  results/tiny" in result.stdout
    assert "tables   results/tiny/report/tables" in result.stdout
    assert "report   results/tiny/report/index.html" in result.stdout
    assert Path("results/tiny/report/tables/main.md").is_file()
    assert result.stderr == ""

    again = mmbench("run", "tiny.yaml")
    assert again.exit_code == 0
    assert "done (cached)  10 runs" in again.stdout
    assert "0 trained, 0 predicted, 0 scored, 10 cached, 0 failed" in again.stdout


def test_without_a_report_a_run_says_what_makes_it(mmbench, work):
    work("record")
    result = mmbench("run", "tiny.yaml", "--no-report")
    assert result.exit_code == 0, result.output
    assert "10 trained, 10 predicted, 10 scored, 0 cached, 0 failed" in result.stdout
    assert "report   mmbench report results/tiny makes it" in result.stdout
    assert not Path("results/tiny/report").exists()

    done = json.loads(mmbench("run", "tiny.yaml", "--no-report", "--json").stdout)
    assert (done["cached"], done["report"], done["tables"]) == (10, None, [])
    assert mmbench("report", "results/tiny").exit_code == 0
    assert Path("results/tiny/report/index.html").is_file()


def test_a_failed_run_makes_the_exit_code_1(mmbench, work):
    work("record_but_enc_seed_0")
    result = mmbench("run", "tiny.yaml")
    assert result.exit_code == 1
    assert "failed  enc cla=4 subset=0 seed=0  RuntimeError: this one does not converge" in result.stdout
    assert "8 trained, 8 predicted, 8 scored, 0 cached, 2 failed" in result.stdout
    assert "mmbench status results/tiny --tracebacks" in result.stdout

    left_alone = mmbench("run", "tiny.yaml")
    assert left_alone.exit_code == 1
    assert "skipped        2 runs, failed earlier" in left_alone.stdout
    assert "--retry-failed" in left_alone.stdout

    work("record")
    assert mmbench("run", "tiny.yaml", "--retry-failed").exit_code == 0


def test_quiet_shows_failures_and_places_only(mmbench, work):
    work("record_but_enc_seed_0")
    result = mmbench("run", "tiny.yaml", "--quiet")
    lines = result.stdout.splitlines()
    assert sum("failed  enc" in line for line in lines) == 2
    assert [line.split()[0] for line in lines[2:]] == ["8", "records", "tables", "report", "errors"]


def test_json_is_alone_on_standard_output(mmbench, work):
    work("noisy")
    result = mmbench("run", "tiny.yaml", "--json", "--only", "seed=0,method=enc")
    found = json.loads(result.stdout)
    assert (found["done"], found["cached"], found["failed"], found["skipped"]) == (2, 0, 0, 0)
    assert [run["state"] for run in found["runs"]] == ["done", "done"]
    assert found["protocol"] == "tiny"
    assert found["results"] == str(Path("results/tiny").resolve())
    assert " done  " in result.stderr


def test_results_go_where_they_are_told_to(mmbench, work, workplace):
    work("record")
    mmbench("run", "tiny.yaml", "--results", workplace / "else where", "--only", "method=majority")
    assert len(list((workplace / "else where" / "runs").iterdir())) == 2
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing.yaml"], "error: nothing.yaml: no such file"),
        (["quikstart"], "error: unknown protocol 'quikstart'; did you mean 'quickstart'?"),
        (["tiny.yaml", "--jobs", "many"], "error: jobs: 'many' is not a number of workers"),
        (["tiny.yaml", "--device", "cudo"], "error: device: unknown device 'cudo'; did you mean 'cuda'?"),
        (["tiny.yaml", "--only", "sed=1"], "error: only: unknown key 'sed'; did you mean 'seed'?"),
        (["tiny.yaml", "--force", "run", "--retry-failed"], "error: force and retry_failed contradict"),
        (["tiny.yaml", "--executor", "slurm"], "error: executor: unknown executor 'slurm'; valid: local"),
        (["tiny.yaml", "--results", "tiny.yaml"], "error: "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(mmbench, work, args, message):
    work("record")
    result = mmbench("run", *args)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_an_unknown_layer_to_force_is_refused(mmbench, work):
    work("record")
    result = mmbench("run", "tiny.yaml", "--force", "everything")
    assert result.exit_code == 2
    assert "'run', 'predictions', 'scores'" in " ".join(result.stderr.replace("│", " ").split())


def test_force_says_what_is_made_again(mmbench, work):
    work("record")
    mmbench("run", "tiny.yaml")
    result = mmbench("run", "tiny.yaml", "--force", "scores", "--only", "method=majority")
    assert "to do          0 runs to train, 0 predictions to make, 2 scores to make" in result.stdout


def test_debug_shows_where_a_mistake_was_noticed(mmbench, workplace):
    for args in (["--debug", "run", "nothing.yaml"], ["run", "nothing.yaml", "--debug"]):
        result = mmbench(*args)
        assert result.exit_code == 1
        assert type(result.exception).__name__ == "ProtocolError"


def test_ctrl_c_says_how_to_resume_and_leaves_no_process(workplace):
    Path("tiny.yaml").write_text(fake_work.PROTOCOL)
    process = start("endless", "run", "tiny.yaml", "-j", "2", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder = Path("results/tiny")

    def pids():
        return [int(pid) for file in folder.glob("pids.*") for pid in file.read_text().split()]

    wait_until(lambda: len(pids()) == 4, 60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "stopped; the same command resumes from here\n"
    wait_until(lambda: not any(map(alive, pids())))


def test_a_closed_pipe_is_quiet(workplace):
    Path("tiny.yaml").write_text(fake_work.PROTOCOL)
    process = start("record", "run", "tiny.yaml", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert errors == ""


def test_a_terminal_gets_a_live_display(workplace):
    Path("tiny.yaml").write_text(fake_work.PROTOCOL)
    ours, theirs = os.openpty()
    process = start("slow_record", "run", "tiny.yaml", "-j", "2", stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == 0
    text = shown.decode()
    assert "worker 0" in text
    assert "worker 1" in text
    assert "10/10" in text
    assert "10 trained, 10 predicted, 10 scored, 0 cached, 0 failed" in text


def test_what_another_process_works_on_is_told_once(capsys):
    from rich.console import Console

    from mmbench.cli.progress import RunDisplay
    from mmbench.execution.executor import Elsewhere, Found

    with RunDisplay(Console(width=100)) as display:
        for event in (Elsewhere("a", 0), Elsewhere("a", 0), Found("a", 0)):
            display(event)
    assert capsys.readouterr().out.splitlines() == [
        "another process works on a",
        "1/0  done  a  by another process",
    ]
