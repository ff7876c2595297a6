"""Tables for a paper: LaTeX with booktabs, nothing else needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mmbench.report.marks import (
    BELOW_TRIVIAL,
    BETTER,
    EQUIVALENT,
    SIGNIFICANT,
    WORSE,
    Entry,
    MarkedTable,
    number,
)
from mmbench.report.render import plain

if TYPE_CHECKING:
    import pandas as pd

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
    BELOW_TRIVIAL: r"$^\circ$",
}
HEADER = "% Made by mmbench. In the preamble: \\usepackage{booktabs,amssymb,graphicx}\n"


def latex_text(text: str) -> str:
    """Return text that LaTeX prints as it is; characters outside Latin-1 become ``?``."""
    found = "".join(_SPECIAL.get(letter, letter) for letter in plain(text))
    return "".join(letter if ord(letter) < 256 else "?" for letter in found)


def latex_main(table: MarkedTable, title: str, label: str = "tab:main") -> str:
    """Return the main table.

    Parameters
    ----------
    table : MarkedTable
        From :func:`mmbench.report.marks.marked_table`.
    title : str
        Its caption begins with it.
    label : str
        For references.
    """
    columns = table.columns
    spec = "lrr" + "r" * len(columns)
    heads = _group_heads(table)
    names = ["Model", r"$|D_c|$", r"$|D_s|$", *(latex_text(column.heading) for column in columns)]
    rows, previous = [], None
    for line in table.lines:
        if previous is not None and (line.trivial != previous.trivial or line.row != previous.row):
            rows.append(r"\midrule" if line.trivial and not previous.trivial else r"\addlinespace")
        name = latex_text(line.row)
        entries = [rf"\emph{{{name}}}" if line.trivial else name]
        entries += [latex_text(budget) for budget in table.budgets[line]]
        entries += [_entry(table.entries[line, column]) for column in columns]
        rows.append(" & ".join(entries) + r" \\")
        previous = line
    notes = " ".join(latex_text(note) for note in table.notes)
    return _wrapped(spec, [*heads, " & ".join(names) + r" \\"], rows, f"{latex_text(title)}. {notes}", label)


def latex_comparisons(comparisons: pd.DataFrame, title: str, label: str = "tab:comparisons") -> str:
    """Return a table of paired comparisons.

    Parameters
    ----------
    comparisons : DataFrame
        Lines of ``Analysis.comparisons``.
    title : str
        Its caption.
    label : str
        For references.
    """
    heads = ["Metric", "Domain", "Labels", "A", "B", "$A-B$", "Interval", "$p$", r"$p_\mathrm{Holm}$"]
    rows = [
        " & ".join(
            [
                *(latex_text(str(test[key])) for key in ("heading", "domain", "budget", "row_a", "row_b")),
                f"${test['difference']:+.3f}$",
                f"$[{test['low']:+.3f}, {test['high']:+.3f}]$",
                number(test["p"]),
                number(test["p_holm"]),
                str(test["verdict"]),
            ]
        )
        + r" \\"
        for test in comparisons.to_dict("records")
    ]
    return _wrapped("lllllrrrrl", [" & ".join([*heads, "Verdict"]) + r" \\"], rows, latex_text(title), label)


def _entry(entry: Entry) -> str:
    text = latex_text(entry.text)
    text = rf"\textbf{{{text}}}" if entry.best else text
    interval = rf" {{\scriptsize {latex_text(entry.interval)}}}" if entry.interval else ""
    return f"{text}{latex_text(entry.marks)}{interval}"


def _group_heads(table: MarkedTable) -> list[str]:
    parts, rules, place = ["", "", ""], [], 4
    for (scope, domain), group in groupby(table.columns, key=lambda column: (column.scope, column.domain)):
        width = len(list(group))
        parts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(f'{scope}: {domain}')}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    return [" & ".join(parts) + r" \\", " ".join(rules)] if rules else []


def _wrapped(spec: str, heads: Sequence[str], rows: Sequence[str], caption: str, label: str) -> str:
    body = "\n".join([*heads, r"\midrule", *rows])
    return (
        f"{HEADER}\\begin{{table*}}[t]\n\\centering\n\\caption{{{caption}}}\n\\label{{{label}}}\n"
        f"\\resizebox{{\\linewidth}}{{!}}{{%\n\\begin{{tabular}}{{{spec}}}\n\\toprule\n{body}\n"
        "\\bottomrule\n\\end{tabular}}\n\\end{table*}\n"
    )
