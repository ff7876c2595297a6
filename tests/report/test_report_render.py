import io
import re
import subprocess
import sys

import pandas as pd
import pytest
from rich.console import Console

from mmbench.analysis.frames import long_frame
from mmbench.analysis.matrix import matrix_of
from mmbench.report.csv_files import csv_table, wide_frame
from mmbench.report.markdown import markdown_table
from mmbench.report.table import spread_table
from mmbench.report.terminal import print_terminal, terminal_tables
from tests.analysis.analysed import TRIVIAL

HOSTILE = '=cmd|"/c calc"!A1\n<script>alert(1)</script> [bold]x[/bold] *a*'


def table_of(results, protocol):
    return spread_table(matrix_of(results, protocol, TRIVIAL))


@pytest.fixture
def matrix(results, protocol):
    return matrix_of(results, protocol, TRIVIAL)


@pytest.fixture
def table(matrix):
    return spread_table(matrix)


def csv_long(matrix) -> str:
    return csv_table(long_frame(matrix))


def csv_wide(matrix) -> str:
    return csv_table(wide_frame(spread_table(matrix)))


def shown(table, width) -> str:
    text = io.StringIO()
    print_terminal(table, Console(file=text, width=width, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def test_markdown_is_the_recorded_one(table, golden):
    golden("main_table.md", markdown_table(table))


def test_long_csv_is_the_recorded_one(matrix, golden):
    golden("main_table_long.csv", csv_long(matrix))


def test_wide_csv_is_the_recorded_one(matrix, golden):
    golden("main_table_wide.csv", csv_wide(matrix))


@pytest.mark.parametrize("width", [240, 120, 80])
def test_the_terminal_table_is_the_recorded_one(table, golden, width):
    golden(f"main_table_{width}.txt", shown(table, width))


@pytest.mark.parametrize(("width", "count"), [(240, 1), (120, 4), (80, 6)])
def test_a_narrow_terminal_gets_several_tables(table, width, count):
    console = Console(file=io.StringIO(), width=width)
    assert len(terminal_tables(table, console)) == count
    assert all(len(line) <= width for line in shown(table, width).splitlines())


def test_csv_numbers_are_read_back_unrounded(matrix):
    long = pd.read_csv(io.StringIO(csv_long(matrix)))
    assert long["mean"].tolist() == [value.mean for value in matrix.values.values()]
    wide = pd.read_csv(io.StringIO(csv_wide(matrix)))
    assert len(wide) == len(matrix.cells)
    assert wide["in-domain kermany accuracy mean"].dropna().tolist() == [
        matrix.values[cell, matrix.columns[0]].mean for cell in matrix.cells if cell.classification
    ]


def test_trivial_baselines_that_agree_at_every_budget_are_one_row(table, results, protocol):
    rows = [line for line in markdown_table(table).splitlines() if line.startswith("| *positive*")]
    assert [row.split(" | ")[1:3] for row in rows] == [["any", "–"]]
    results.loc[(results["row"] == "positive") & (results["budget_classification"] == "full"), "value"] += 0.1
    text = markdown_table(table_of(results, protocol))
    assert len([line for line in text.splitlines() if line.startswith("| *positive*")]) == 2


def test_blanks_tell_not_learned_from_not_there(results, protocol):
    gone = results[~((results["row"] == "unet") & (results["domain"] == "montgomery"))]
    row = next(line for line in markdown_table(table_of(gone, protocol)).splitlines() if "unet" in line)
    assert row.count("–") == 9
    assert row.count("…") == 3


def hostile(results, protocol):
    renamed = results.assign(
        row=results["row"].replace("enc", HOSTILE), domain=results["domain"].replace("nih", f"@{HOSTILE}")
    )
    return matrix_of(renamed, protocol.model_copy(update={"name": HOSTILE}), TRIVIAL)


def test_hostile_names_are_escaped_in_markdown_table(results, protocol):
    text = markdown_table(spread_table(hostile(results, protocol)))
    assert "<script>" not in text
    table_rows = [line for line in text.splitlines() if line.startswith("|")]
    runs = {len(re.split(r"(?<!\\)\|", row)) for row in table_rows}
    assert len(runs) == 1
    assert "\\*a\\*" in text


def test_hostile_names_are_text_in_csv(results, protocol):
    matrix = hostile(results, protocol)
    for text in (csv_long(matrix), csv_wide(matrix)):
        frame = pd.read_csv(io.StringIO(text))
        found = [str(value) for value in frame["row"]]
        assert any(value.startswith("'=cmd") for value in found)
        assert not any(value.startswith(("=", "@", "+", "-")) for value in found)
    assert set(pd.read_csv(io.StringIO(csv_long(matrix)))["domain"].str[:5]) >= {"'@=cm", "kerma"}
    assert len(csv_long(matrix).splitlines()) == len(matrix.values) + 1


def test_hostile_names_are_printed_as_they_are(results, protocol):
    text = shown(spread_table(hostile(results, protocol)), 1000)
    assert "<script>alert(1)</script> [bold]x[/bold]" in text


def test_an_empty_table_can_be_rendered(results, protocol):
    matrix = matrix_of(results.iloc[:0], protocol, TRIVIAL)
    table = spread_table(matrix)
    assert "|Dc|" in shown(table, 100) or shown(table, 100)
    assert markdown_table(table).startswith("### paper-like")
    assert csv_long(matrix).count("\n") == 1
    assert csv_wide(matrix).strip() == ""


def test_the_room_imports_without_torch():
    code = (
        "import sys, mmbench.report.table, mmbench.report.terminal, mmbench.report.markdown\n"
        "assert not {'torch', 'pandas', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
