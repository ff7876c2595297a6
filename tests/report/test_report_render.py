import io
import re
import subprocess
import sys

import pandas as pd
import pytest
from rich.console import Console

from mmbench.report.main_table import Line, main_table
from mmbench.report.render import best_values, csv_long, csv_wide, markdown, print_terminal, terminal_tables

FLOORS = ("positive", "mean_mask")
HOSTILE = '=cmd|"/c calc"!A1\n<script>alert(1)</script> [bold]x[/bold] *a*'


@pytest.fixture
def table(results, protocol):
    return main_table(results, protocol, FLOORS)


def shown(table, width, **options) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    print_terminal(table, console, **options)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def test_markdown_is_the_recorded_one(table, golden):
    golden("main_table.md", markdown(table))


def test_long_csv_is_the_recorded_one(table, golden):
    golden("main_table_long.csv", csv_long(table))


def test_wide_csv_is_the_recorded_one(table, golden):
    golden("main_table_wide.csv", csv_wide(table))


@pytest.mark.parametrize("width", [240, 120, 80])
def test_the_terminal_table_is_the_recorded_one(table, golden, width):
    golden(f"main_table_{width}.txt", shown(table, width))


@pytest.mark.parametrize(("width", "count"), [(240, 1), (120, 2), (80, 4)])
def test_a_narrow_terminal_gets_several_tables(table, width, count):
    console = Console(file=io.StringIO(), width=width)
    assert len(terminal_tables(table, console)) == count
    assert all(len(line) <= width for line in shown(table, width).splitlines())


def test_csv_numbers_are_read_back_unrounded(table):
    long = pd.read_csv(io.StringIO(csv_long(table)))
    assert long["mean"].tolist() == table.long["mean"].tolist()
    wide = pd.read_csv(io.StringIO(csv_wide(table)))
    assert len(wide) == len(table.lines)
    assert wide["in-domain kermany accuracy mean"].dropna().tolist() == [
        table.results[line, table.columns[0]].mean for line in table.lines if line.classification
    ]


def test_floors_that_agree_at_every_budget_are_one_row(table, results, protocol):
    rows = [line for line in markdown(table).splitlines() if line.startswith("| *positive*")]
    assert [row.split(" | ")[1:3] for row in rows] == [["any", "–"]]
    results.loc[(results["row"] == "positive") & (results["budget_classification"] == "full"), "value"] += 0.1
    text = markdown(main_table(results, protocol, FLOORS))
    assert len([line for line in text.splitlines() if line.startswith("| *positive*")]) == 2


def test_blanks_tell_not_learned_from_not_there(results, protocol):
    gone = results[~((results["row"] == "unet") & (results["domain"] == "montgomery"))]
    row = next(line for line in markdown(main_table(gone, protocol, FLOORS)).splitlines() if "unet" in line)
    assert row.count("–") == 7
    assert row.count("…") == 3


def test_the_best_is_marked_only_on_demand_and_per_budget(table):
    best = best_values(table)
    accuracy, hausdorff = table.columns[0], table.columns[4]
    assert [line.row for line in table.lines if (line, accuracy) in best] == ["MultiMix", "MultiMix"]
    assert [line.row for line in table.lines if (line, hausdorff) in best] == ["MultiMix"]
    assert "**" not in markdown(table)
    marked = markdown(table, mark_best=True)
    assert "**0.695 ± 0.011**" in marked
    assert "Bold: best mean" in marked
    assert "Bold: best mean" in shown(table, 240, mark_best=True)


def hostile(results, protocol):
    renamed = results.assign(
        row=results["row"].replace("enc", HOSTILE), domain=results["domain"].replace("nih", f"@{HOSTILE}")
    )
    return main_table(renamed, protocol.model_copy(update={"name": HOSTILE}), FLOORS)


def test_hostile_names_are_escaped_in_markdown(results, protocol):
    text = markdown(hostile(results, protocol))
    assert "<script>" not in text
    table_rows = [line for line in text.splitlines() if line.startswith("|")]
    runs = {len(re.split(r"(?<!\\)\|", row)) for row in table_rows}
    assert len(runs) == 1
    assert "\\*a\\*" in text


def test_hostile_names_are_text_in_csv(results, protocol):
    table = hostile(results, protocol)
    for text in (csv_long(table), csv_wide(table)):
        frame = pd.read_csv(io.StringIO(text))
        found = [str(value) for value in frame["row"]]
        assert any(value.startswith("'=cmd") for value in found)
        assert not any(value.startswith(("=", "@", "+", "-")) for value in found)
    assert set(pd.read_csv(io.StringIO(csv_long(table)))["domain"].str[:5]) >= {"'@=cm", "kermany"}
    assert len(csv_long(table).splitlines()) == len(table.long) + 1


def test_hostile_names_are_printed_as_they_are(results, protocol):
    text = shown(hostile(results, protocol), 1000)
    assert "<script>alert(1)</script> [bold]x[/bold]" in text


def test_an_empty_table_can_be_rendered(results, protocol):
    table = main_table(results.iloc[:0], protocol, FLOORS)
    assert "|Dc|" in shown(table, 100) or shown(table, 100)
    assert markdown(table).startswith("### paper-like")
    assert csv_long(table).count("\n") == 1
    assert csv_wide(table).strip() == ""


def test_a_line_knows_its_budgets():
    line = Line("a", "a", "10", None, False)
    assert (line.budget("classification"), line.budget("segmentation")) == ("10", None)


def test_the_room_imports_without_torch():
    code = (
        "import sys, mmbench.report.main_table, mmbench.report.render, mmbench.report.captions\n"
        "assert not {'torch', 'pandas', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
