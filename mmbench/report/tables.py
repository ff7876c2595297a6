"""Every table of a report as files: CSV, Markdown, LaTeX, parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.analysis.analysis import Analysis
from mmbench.files import write_bytes, write_text
from mmbench.report.csv_files import (
    csv_table,
    families_frame,
    rows_frame,
    tuning_frame,
    wide_frame,
    write_long_csv,
)
from mmbench.report.latex import latex_primary, latex_table
from mmbench.report.markdown import markdown_frame, markdown_primary, markdown_rows, markdown_table
from mmbench.report.table import interval_table, spread_table

if TYPE_CHECKING:
    import pandas as pd


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
        csv), ``primary`` (the comparisons with verdicts; md, csv, tex), ``estimates`` and ``comparisons``
        (of every pair, exploratory; long; csv, parquet), ``ranks``, ``variance`` (csv), ``rows`` (what each
        row sees and costs; md, csv), ``families`` and ``tuning`` (where there are any; md, csv), ``cases``
        (one line per training and case; csv, parquet).
    """
    main, spread = interval_table(analysis), spread_table(analysis.matrix)
    primary = analysis.records.primary
    reference = analysis.protocol.reference_label
    title = f"{analysis.protocol.name}: against {reference}, over all label budgets"
    texts = {
        "main.md": markdown_table(main),
        "main.csv": csv_table(wide_frame(main)),
        "main.tex": latex_table(main),
        "spread.md": markdown_table(spread),
        "spread.csv": csv_table(wide_frame(spread)),
        "estimates.csv": csv_table(analysis.estimates),
        "comparisons.csv": csv_table(analysis.comparisons),
        "primary.csv": csv_table(analysis.primary),
        "primary.md": markdown_primary(primary, title),
        "primary.tex": latex_primary(primary, f"{title}; {_family(analysis)}"),
        "ranks.csv": csv_table(analysis.ranks),
        "variance.csv": csv_table(analysis.variance),
        "rows.csv": csv_table(rows_frame(analysis.rows)),
        "rows.md": markdown_rows(analysis.rows, f"{analysis.protocol.name}: what each row sees and costs"),
    }
    if len(analysis.families) > 1:
        strongest = families_frame(analysis)
        title = f"{analysis.protocol.name}: the strongest row of each family, chosen on validation cases"
        texts |= {
            "families.csv": csv_table(strongest),
            "families.md": markdown_frame(strongest, title),
        }
    if analysis.tuning:
        tuning = tuning_frame(analysis.tuning)
        texts |= {
            "tuning.csv": csv_table(tuning),
            "tuning.md": markdown_frame(tuning, f"{analysis.protocol.name}: what tuning chose"),
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
    first += ["case", "patient"]
    named = named[[*first, *(column for column in named.columns if column not in first)]]
    names = ("algorithm", "case", "patient", "domain")
    return [path, write_long_csv(named, folder / "cases.csv", names)]


def _family(analysis: Analysis) -> str:
    size = len(analysis.records.primary)
    return f"intervals corrected over {size} comparisons (Holm)"


def _parquet(frame: pd.DataFrame, path: Path) -> Path:
    write_bytes(path, frame.to_parquet(index=False, compression="zstd"))
    return path
