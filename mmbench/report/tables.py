"""Every table of a report as files: CSV, Markdown, LaTeX, parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.files import write_bytes, write_text
from mmbench.report.latex import latex_comparisons, latex_main
from mmbench.report.marks import MarkedTable, marked_table, number
from mmbench.report.render import HEADS, csv_table, csv_wide, markdown, markdown_text, scopes

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.report.analysis import Analysis


def write_tables(analysis: Analysis, folder: Path) -> list[Path]:
    """Write every table.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    folder : Path
        Where; made if it is not there.

    Returns
    -------
    list of Path
        ``main`` (intervals and marks; md, csv, tex), ``spread`` (mean and deviation over trainings; md,
        csv), ``estimates`` and ``comparisons`` (long; csv, parquet, and the comparisons with the
        reference as md and tex), ``ranks``, ``variance`` (csv), ``cases`` (one line per training and
        case; csv, parquet).
    """
    table = marked_table(analysis)
    title = analysis.protocol.name
    against = with_reference(analysis)
    texts = {
        "main.md": markdown_main(table, title),
        "main.csv": csv_table(_wide(table)),
        "main.tex": latex_main(table, title),
        "spread.md": markdown(analysis.table),
        "spread.csv": csv_wide(analysis.table),
        "estimates.csv": csv_table(analysis.estimates),
        "comparisons.csv": csv_table(analysis.comparisons),
        "comparisons.md": markdown_comparisons(against, f"{title}: against {analysis.about['reference']}"),
        "comparisons.tex": latex_comparisons(
            against, f"{title}: against {analysis.about['reference']}; " + _family(analysis)
        ),
        "ranks.csv": csv_table(analysis.ranks),
        "variance.csv": csv_table(analysis.variance),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    paths = [folder / name for name in texts]
    for name, frame in (("estimates", analysis.estimates), ("comparisons", analysis.comparisons)):
        paths.append(_parquet(frame, folder / f"{name}.parquet"))
    return paths + write_cases(analysis, folder)


def write_cases(analysis: Analysis, folder: Path) -> list[Path]:
    """Write one line per training and case with every per-case score, for other tools.

    The CSV has the columns that challengeR and Metrics Reloaded tools read: ``algorithm``, ``task``,
    ``case``, then the metrics.
    """
    scores = analysis.scores
    path = _parquet(scores, folder / "cases.parquet")
    named = scores.rename(columns={"row": "algorithm", "case_id": "case", "patient_id": "patient"})
    first = ["task", "domain", "algorithm", "budget_classification", "budget_segmentation", "subset", "seed"]
    named = named[
        [*first, "case", "patient", *(c for c in named.columns if c not in {*first, "case", "patient"})]
    ]
    return [path, _arrow_csv(named, folder / "cases.csv")]


def with_reference(analysis: Analysis) -> pd.DataFrame:
    """Return the comparisons with the reference, the other row as A, corrected within their family."""
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for record in analysis.estimates.to_dict("records"):
        if record["verdict"] is None:
            continue
        budgets = (record["budget_classification"], record["budget_segmentation"])
        lines.append(
            {
                "metric": record["metric"],
                "heading": record["heading"],
                "domain": record["domain"],
                "scope": record["scope"],
                "budget": "/".join(budget or "–" for budget in budgets),
                "row_a": record["row"],
                "row_b": analysis.protocol.reference_label,
                "difference": record["difference"],
                "low": record["difference_low"],
                "high": record["difference_high"],
                "p": record["p"],
                "p_holm": record["p_holm"],
                "family": record["family"],
                "verdict": record["verdict"],
            }
        )
    return pd.DataFrame(lines)


def markdown_main(table: MarkedTable, title: str) -> str:
    """Return the main table with intervals and marks in GitHub's Markdown."""
    heads = [HEADS[0], HEADS[1], HEADS[2], *(f"{column.domain} {column.heading}" for column in table.columns)]
    rows = [_markdown_row(heads), _rule(len(heads))]
    for line in table.lines:
        name = markdown_text(line.row)
        cells = [f"*{name}*" if line.trivial else name, *table.budgets[line]]
        for column in table.columns:
            cell = table.entries[line, column]
            text = f"**{cell.text}**" if cell.best else cell.text
            cells.append(
                " ".join(part for part in (f"{text}{cell.marks}", markdown_text(cell.interval)) if part)
            )
        rows.append(f"| {' | '.join(cells)} |")
    notes = [f"{scope}: {', '.join(domains)}" for scope, domains in scopes(table.columns)]
    notes += ["Rows in italics are trivial baselines."] if any(line.trivial for line in table.lines) else []
    listed = "\n".join(f"- {markdown_text(note)}" for note in [*notes, *table.notes])
    return f"### {markdown_text(title)}\n\n" + "\n".join(rows) + f"\n\n{listed}\n"


def markdown_comparisons(comparisons: pd.DataFrame, title: str) -> str:
    """Return paired comparisons in GitHub's Markdown."""
    heads = ["metric", "domain", "labels", "A", "B", "A - B", "interval", "p", "p Holm", "verdict"]
    rows = [_markdown_row(heads), _rule(len(heads), left=5)]
    for test in comparisons.to_dict("records"):
        rows.append(
            _markdown_row(
                [
                    *(str(test[key]) for key in ("heading", "domain", "budget", "row_a", "row_b")),
                    f"{test['difference']:+.3f}",
                    f"{test['low']:+.3f} to {test['high']:+.3f}",
                    number(test["p"]),
                    number(test["p_holm"]),
                    test["verdict"],
                ]
            )
        )
    return f"### {markdown_text(title)}\n\n" + "\n".join(rows) + "\n"


def _family(analysis: Analysis) -> str:
    statistics = analysis.protocol.statistics
    within = "metric and domain" if statistics.family == "domain" else "metric, domain and budget"
    return f"p after Holm within one {within}, {100 * statistics.confidence:g} % intervals"


def _wide(table: MarkedTable) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for line in table.lines:
        row: dict[str, Any] = {
            "row": line.row,
            "method": line.method,
            "trivial": line.trivial,
            "budget_classification": line.classification,
            "budget_segmentation": line.segmentation,
        }
        for column in table.columns:
            record = table.entries[line, column].record or {}
            head = f"{column.scope} {column.domain} {column.metric}"
            row |= {
                f"{head} {name}": record.get(key)
                for name, key in (
                    ("mean", "estimate"),
                    ("low", "low"),
                    ("high", "high"),
                    ("sd", "sd"),
                    ("n", "trainings"),
                    ("verdict", "verdict"),
                )
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"


def _rule(count: int, left: int = 1) -> str:
    return f"| {' | '.join(['---'] * left + ['---:'] * (count - left))} |"


def _parquet(frame: pd.DataFrame, path: Path) -> Path:
    write_bytes(path, frame.to_parquet(index=False, compression="zstd"))
    return path


def _arrow_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write a large frame: pyarrow is an order of magnitude faster than pandas here."""
    import pyarrow as pa
    from pyarrow import csv

    from mmbench.report.render import csv_text

    for name in ("algorithm", "case", "patient", "domain"):
        known = {value: csv_text(value) for value in frame[name].unique()}
        frame[name] = frame[name].map(known)
    # Seven digits are more than any score has.
    numbers = frame.select_dtypes("float64").columns
    frame[numbers] = frame[numbers].astype("float32")
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), str(path))
    return path
