"""The tables as files: layout by golden files, numbers by reading them back."""

import math
import shutil
import subprocess

import pandas as pd
import pytest

from mmbench.analysis.facts import RowCost
from mmbench.report.csv_files import rows_frame
from mmbench.report.markdown import markdown_rows
from mmbench.report.tables import write_tables

COMPILERS = [name for name in ("tectonic", "pdflatex", "lualatex") if shutil.which(name)]


@pytest.fixture(scope="module")
def tables(analysis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_tables(analysis, folder)
    return folder


@pytest.mark.parametrize("name", ["main.md", "main.tex", "primary.md", "primary.tex", "spread.md"])
def test_the_layout_is_the_recorded_one(tables, golden, name):
    golden(f"tables_{name}", (tables / name).read_text(encoding="utf-8"))


def test_csv_and_parquet_hold_the_unrounded_numbers(tables, analysis):
    text = {"budget_classification": str, "budget_segmentation": str}
    for name in ("estimates", "comparisons"):
        frame = getattr(analysis, name)
        from_csv = pd.read_csv(tables / f"{name}.csv", dtype=text)
        from_parquet = pd.read_parquet(tables / f"{name}.parquet")
        column = "estimate" if name == "estimates" else "difference"
        assert from_csv[column].to_numpy() == pytest.approx(frame[column].to_numpy(), nan_ok=True)
        assert from_parquet[column].to_numpy() == pytest.approx(frame[column].to_numpy(), nan_ok=True)


def test_the_per_case_file_is_long_and_names_algorithm_and_case(tables, analysis):
    cases = pd.read_csv(tables / "cases.csv")
    assert list(cases.columns[:3]) == ["task", "domain", "algorithm"]
    assert len(cases) == len(analysis.scores) == 24 * 4 * 40
    own = cases[(cases["algorithm"] == "alike") & (cases["domain"] == "county")]
    expected = analysis.scores.query("row == 'alike' and domain == 'county'")
    assert own["dice"].to_numpy() == pytest.approx(expected["dice"].to_numpy(), abs=1e-6)


def compile_latex(folder, names):
    inputs = "\n".join(f"\\input{{{name}}}" for name in names)
    (folder / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\\usepackage[T1]{fontenc}\n"
        f"\\usepackage{{booktabs,amssymb,graphicx}}\n\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    return subprocess.run(
        [COMPILERS[0], "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )


@pytest.mark.skipif(not COMPILERS, reason="no TeX is installed")
def test_latex_compiles(tables):
    done = compile_latex(tables, ["main.tex", "primary.tex"])
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tables / "paper.pdf").stat().st_size > 10_000


def test_what_each_row_sees_and_costs():
    record = RowCost(
        row="a|b",
        method="umtl",
        family="supervised",
        tasks="segmentation",
        sees="labels",
        runs=2,
        parameters=30667.0,
        seconds=3.0,
        train_seconds=2.4,
        evaluate_seconds=0.5,
        peak_memory_mb=math.nan,
    )
    lines = markdown_rows([record], "two").splitlines()
    assert lines[2] == "| row | family | sees | parameters | training, s | memory, MB |"
    assert lines[4] == r"| a\|b | supervised | labels | 30,667 | 2 |  |"
    frame = rows_frame([record])
    assert list(frame.columns[:5]) == ["row", "method", "family", "tasks", "sees"]
    assert frame.loc[0, "parameters"] == 30667
