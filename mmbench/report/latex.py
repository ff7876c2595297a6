"""Tables for a paper: LaTeX with booktabs, nothing else needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from mmbench.analysis.records import Primary
from mmbench.report.answer import primary_texts
from mmbench.report.marks import BELOW_TRIVIAL, BETTER, EQUIVALENT, SIGNIFICANT, TRANSDUCTIVE, WORSE
from mmbench.report.table import MODEL, TRAININGS, Entry, Line, Table
from mmbench.report.text import plain

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
    "…": r"\dots{}",
    "×": r"$\times$",
    BETTER: r"$\blacktriangle$",
    WORSE: r"$\blacktriangledown$",
    EQUIVALENT: r"$\approx$",
    SIGNIFICANT: r"$\dagger$",
    TRANSDUCTIVE: r"$\ddagger$",
    BELOW_TRIVIAL: r"$^\circ$",
}
HEADER = "% Made by mmbench. In the preamble: \\usepackage{booktabs,amssymb,graphicx}\n"


def latex_text(text: str) -> str:
    """Return text that LaTeX prints as it is; characters outside Latin-1 become ``?``."""
    found = "".join(_SPECIAL.get(letter, letter) for letter in plain(text))
    return "".join(letter if ord(letter) < 256 else "?" for letter in found)


def latex_table(table: Table, label: str = "tab:main") -> str:
    """Return the main table.

    Parameters
    ----------
    table : Table
        Its caption begins with the title.
    label : str
        For references.
    """
    names = [MODEL, r"$|D_c|$", r"$|D_s|$", *([f"${TRAININGS}$"] if table.with_trainings else [])]
    heads = _group_heads(table, len(names))
    spec = "l" + "r" * (len(names) - 1 + len(table.columns))
    names += [latex_text(column.heading) for column in table.columns]
    rows: list[str] = []
    previous = None
    for line in table.shown:
        cell = line.cell
        if previous is not None and (cell.trivial != previous.trivial or cell.row != previous.row):
            rows.append(r"\midrule" if cell.trivial and not previous.trivial else r"\addlinespace")
        rows.append(_row(_texts(table, line)))
        previous = cell
    notes = " ".join(latex_text(note) for note in table.notes)
    return _wrapped(spec, [*heads, _row(names)], rows, f"{latex_text(table.title)}. {notes}", label)


def latex_primary(records: Iterable[Primary], title: str, label: str = "tab:primary") -> str:
    """Return a table of the primary comparisons, each with its verdict and the single budgets behind it.

    Parameters
    ----------
    records : iterable of Primary
        What to show.
    title : str
        Its caption.
    label : str
        For references.
    """
    heads = ["Metric", "Domain", "A", "B", "$A-B$", "Interval", "Verdict", "At single budgets"]
    rows = [_row(map(latex_text, primary_texts(record))) for record in records]
    return _wrapped("llllrrll", [_row(heads)], rows, latex_text(title), label)


def _texts(table: Table, line: Line) -> list[str]:
    name = latex_text(line.name)
    trainings = [line.trainings.text] if table.with_trainings else []
    return [
        rf"\emph{{{name}}}" if line.cell.trivial else name,
        *map(latex_text, line.budgets),
        *trainings,
        *map(_entry, line.entries),
    ]


def _row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _entry(entry: Entry) -> str:
    text = latex_text(entry.text)
    text = rf"\textbf{{{text}}}" if entry.best else text
    interval = rf" {{\scriptsize {latex_text(entry.interval)}}}" if entry.interval else ""
    return f"{text}{latex_text(entry.marks)}{interval}"


def _group_heads(table: Table, before: int) -> list[str]:
    """Return the line of domains over the columns, and the rules below it."""
    parts, rules, start = [""] * before, [], before + 1
    for (scope, domain), group in groupby(table.columns, key=lambda column: (column.scope, column.domain)):
        width = len(list(group))
        parts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(f'{scope}: {domain}')}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [_row(parts), " ".join(rules)] if rules else []


def _wrapped(spec: str, heads: Sequence[str], rows: Sequence[str], caption: str, label: str) -> str:
    body = "\n".join([*heads, r"\midrule", *rows])
    return (
        f"{HEADER}\\begin{{table*}}[t]\n\\centering\n\\caption{{{caption}}}\n\\label{{{label}}}\n"
        f"\\resizebox{{\\linewidth}}{{!}}{{%\n\\begin{{tabular}}{{{spec}}}\n\\toprule\n{body}\n"
        "\\bottomrule\n\\end{tabular}}\n\\end{table*}\n"
    )
