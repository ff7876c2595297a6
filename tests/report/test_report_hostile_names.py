"""Names that a page, a table or a spreadsheet must not obey."""

import csv
import re
import subprocess
from html.parser import HTMLParser

import pytest
from test_report_tables import COMPILERS, compile_latex

from mmbench.report.build import make_report
from tests.analysis.made_up import HOSTILE


@pytest.fixture(scope="module")
def report(hostile, tmp_path_factory):
    return make_report(hostile, tmp_path_factory.mktemp("hostile") / "report")


class Elements(HTMLParser):
    """Counts elements and collects text and attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_holds_names_as_text(report):
    page = report.page.read_text(encoding="utf-8")
    parsed = Elements()
    parsed.feed(page)
    assert parsed.tags.count("script") == 2  # the cases' numbers, and the page's own
    assert "img" not in parsed.tags
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    text = "".join(parsed.text)
    assert "<script>alert('row')</script>" in text
    assert "a_b & 100% $x^2$ {y} #1 ~ \\end{tabular}" in text
    assert "\u202e" not in page
    # What is embedded for the script ends only where it should.
    payload = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S).group(1)
    assert "<img" not in payload
    assert "\\u003cimg" in payload


def test_nothing_outside_the_page_is_asked_for(report):
    parsed = Elements()
    parsed.feed(report.page.read_text(encoding="utf-8"))
    loading = [
        (tag, name, value)
        for tag, name, value in parsed.attributes
        if name in {"src", "srcset", "action", "data", "poster"} or (tag == "link" and name == "href")
    ]
    assert loading == []
    links = [value for tag, name, value in parsed.attributes if tag == "a" and name == "href"]
    assert links
    assert all(link.startswith("#") or link.startswith("../") for link in links)


def test_latex_holds_names_as_text(report):
    text = (report.folder / "tables" / "main.tex").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("a\\_b"))
    assert row.startswith(
        r"a\_b \& 100\% \$x\textasciicircum{}2\$ \{y\} \#1 \textasciitilde{} "
        r"\textbackslash{}end\{tabular\} & "
    )
    assert text.count("\\end{tabular}") == 1
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    columns = {len(re.findall(r"(?<!\\)&", line)) for line in lines}
    assert len(columns) == 1, "every row has as many columns"
    assert all(ord(letter) < 256 for letter in text)


@pytest.mark.skipif(not COMPILERS, reason="no TeX is installed")
def test_latex_with_such_names_compiles(report):
    done = compile_latex(report.folder / "tables", ["main.tex", "primary.tex"])
    assert done.returncode == 0, done.stdout[-3000:]


def test_markdown_holds_names_as_text(report):
    for name in ("main.md", "primary.md"):
        text = (report.folder / "tables" / name).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("|")]
        bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(bars) == 1, "every row has as many columns"
        assert "<script>" not in text
        assert not re.search(r"(?<!\\)\]\(", text)


def test_no_cell_of_a_csv_starts_a_formula_or_loses_a_column(report):
    for name in ("main.csv", "comparisons.csv", "estimates.csv", "cases.csv"):
        with (report.folder / "tables" / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1, name
        assert not [run for row in rows for run in row if run.startswith(("=", "@", "\t"))], name


def test_figures_show_the_names(report):
    pages = list((report.folder / "figures").glob("*.svg"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        done = subprocess.run(
            ["python3", "-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])", str(page)],
            capture_output=True,
        )
        assert done.returncode == 0, page.name
    assert HOSTILE["third"]
