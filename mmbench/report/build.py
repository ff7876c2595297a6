"""One folder with everything that a results folder says: page, tables, figures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mmbench import __version__
from mmbench.analysis.matrix import Matrix, stored_matrix
from mmbench.analysis.results import Results, read_results
from mmbench.files import digest_code, digest_json, write_text
from mmbench.store.lease import waited_lease

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.analysis.analysis import Analysis
    from mmbench.report.table import Table

FOLDER = "report"
STAMP = "report.json"
WRITING = ".writing"
"""The lease that whoever writes a report holds."""
SOURCES = ("stats", "analysis", "report", "evaluation", "claims", "protocol/metrics.py", "published")
"""Parts of this package that a report's content depends on, the shipped ledgers included."""


@dataclass(frozen=True)
class Report:
    """A results folder's report.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    results : Path
        The results folder.
    folder : Path
        Where page, tables and figures lie.
    matrix : Matrix or None
        Means and deviations over trainings; None when no run of the protocol is finished, and nothing is
        written.
    paths : tuple of Path
        The files of the report.
    answer : tuple of str
        The primary question's answer in words, one sentence each.
    fresh : bool
        Whether they were written now; otherwise nothing had changed since.
    """

    protocol: str
    results: Path
    folder: Path
    matrix: Matrix | None = None
    paths: tuple[Path, ...] = ()
    answer: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def main(self) -> Table | None:
        """The table with means and deviations; None when no run is finished."""
        from mmbench.report.table import spread_table

        return None if self.matrix is None else spread_table(self.matrix)

    @property
    def table(self) -> pd.DataFrame | None:
        """The same as a frame: one row per cell, unrounded."""
        from mmbench.report.csv_files import wide_frame

        return None if self.main is None else wide_frame(self.main)

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values: one row per cell, domain and metric."""
        from mmbench.analysis.frames import long_frame

        rows: list[dict[Any, Any]] = []
        if self.matrix is not None:
            long = long_frame(self.matrix).astype(object)
            rows = long.where(long.notna(), None).to_dict("records")
        return {
            "protocol": self.protocol,
            "results": str(self.results),
            "page": None if self.matrix is None else str(self.page),
            "files": [str(path) for path in self.paths],
            "answer": list(self.answer),
            "captions": [] if self.main is None else list(self.main.notes),
            "rows": rows,
        }


@dataclass(frozen=True)
class Extras:
    """What a report holds beside the records' own numbers.

    Attributes
    ----------
    published : tuple of Path
        Ledgers to compare our rows with, beyond the shipped one.
    with_published : bool
        Whether printed numbers are compared with ours.
    sensitivity : bool
        Whether other metric policies are tried.
    """

    published: tuple[Path, ...] = ()
    with_published: bool = False
    sensitivity: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """What of it decides about the report's content."""
        return {
            "published": [path.read_text(encoding="utf-8") for path in self.published],
            "with_published": self.with_published,
            "sensitivity": self.sensitivity,
        }


def make_report(
    results: Path,
    folder: Path | None = None,
    extras: Extras | None = None,
    *,
    force: bool = False,
    allow_mixed: bool = False,
) -> Report:
    """Write a results folder's report, unless the one there is of the same records.

    Parameters
    ----------
    results : Path
        The folder ``results/<protocol>``.
    folder : Path, optional
        Where to write; ``report`` within ``results`` when left out.
    extras : Extras, optional
        What else to show; when left out, whatever the report there shows is fine.
    force : bool
        Write it in any case.
    allow_mixed : bool
        Show records together that were made with different sources or library versions, and say so.

    Raises
    ------
    StoreError
        If there is no plan, a record is damaged, or records are mixed and that was not allowed.
    """
    found = read_results(results)
    folder = folder or results / FOLDER
    name = found.protocol.name
    if not found.available:
        return Report(name, results, folder)
    if not allow_mixed:
        found.refuse(found.mixtures)
    written = None if force else _known(folder, _inputs(found), extras)
    fresh = False
    if written is None:
        # Runs that share a results folder end at the same moment and all come here.
        with waited_lease(folder, WRITING):
            found = found.again()
            inputs = _inputs(found)
            written = None if force else _known(folder, inputs, extras)
            if written is None:
                written, fresh = _write(found, folder, inputs, extras or Extras()), True
    return Report(name, results, folder, stored_matrix(found), *written, fresh)


Written = tuple[tuple[Path, ...], tuple[str, ...]]
"""The files of a report, and its answer in words."""


def _write(results: Results, folder: Path, inputs: str, extras: Extras) -> Written:
    from mmbench.analysis.analysis import analyse
    from mmbench.report.answer import summary_lines
    from mmbench.report.csv_files import csv_table
    from mmbench.report.figures import draw_figures
    from mmbench.report.html import render_html
    from mmbench.report.tables import write_tables

    analysis = analyse(results)
    assert analysis is not None
    paths = write_tables(analysis, folder / "tables")
    frames, tried = _extra_frames(results, analysis, extras)
    for name, frame in frames.items():
        paths.append(folder / "tables" / f"{name}.csv")
        write_text(paths[-1], csv_table(frame))
    figures = draw_figures(analysis, folder / "figures")
    paths += [path for figure in figures for path in (figure.svg, figure.png)]
    page = folder / "index.html"
    text = render_html(
        analysis,
        figures,
        published=frames.get("published"),
        sensitivity=frames.get("sensitivity"),
        yardsticks=frames.get("yardsticks"),
        tried=tried,
        records=_link(folder, results.records_folder),
    )
    write_text(page, text)
    paths = [page, *paths]
    answer = tuple(summary_lines(analysis))
    stamp = {
        "answer": answer,
        "inputs": inputs,
        "extras": digest_json(extras.key),
        "files": [path.relative_to(folder).as_posix() for path in paths],
    }
    write_text(folder / STAMP, json.dumps(stamp, indent=1) + "\n")
    return tuple(paths), answer


def _extra_frames(
    results: Results, analysis: Analysis, extras: Extras
) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Return the tables beside the records' own numbers by name, and which metric policies were tried."""
    from mmbench.claims.yardsticks import load_yardsticks
    from mmbench.report.yardsticks import beside_yardsticks, yardsticks_frame

    frames: dict[str, pd.DataFrame] = {}
    tried: tuple[str, ...] = ()
    if beside := beside_yardsticks(analysis, load_yardsticks()):
        frames["yardsticks"] = yardsticks_frame(beside)
    if extras.with_published:
        from mmbench.claims.ledger import load_ledger
        from mmbench.report.published import compare_published, published_frame

        frames["published"] = published_frame(compare_published(analysis, load_ledger(extras.published)))
    if extras.sensitivity:
        from mmbench.analysis.sensitivity import sensitivity

        found = sensitivity(results, analysis)
        frames["sensitivity"], tried = found.frame, found.tried
    return frames, tried


def last_answer(results: Path) -> list[str]:
    """Return the answer of the report that lies in a results folder, current or not; nothing without one."""
    try:
        stamp = json.loads((results / FOLDER / STAMP).read_text(encoding="utf-8"))
        return [str(sentence) for sentence in stamp["answer"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _link(folder: Path, target: Path) -> str:
    """Return the address of a folder, seen from a page in another one."""
    return quote(Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix())


def _inputs(results: Results) -> str:
    """Return a digest of every record that the report shows, and of the code that makes it."""
    return digest_json(
        {"version": __version__, "source": digest_code(*SOURCES), "results": results.digests()}
    )


def _known(folder: Path, inputs: str, extras: Extras | None) -> Written | None:
    """Return what is known of the report that is there, if it is whole and of these inputs."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        paths = tuple(folder / name for name in stamp["files"])
        answer = tuple(stamp["answer"])
        same = stamp["inputs"] == inputs
        same &= extras is None or stamp["extras"] == digest_json(extras.key)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (paths, answer) if same and all(path.is_file() for path in paths) else None
