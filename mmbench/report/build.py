"""One folder with everything that a results folder says: page, tables, figures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mmbench import __version__
from mmbench.files import digest_code, digest_json, write_text
from mmbench.report.main_table import MainTable, stored_table
from mmbench.store.lease import waited_lease
from mmbench.store.provenance import refuse_mixtures, stored_mixtures
from mmbench.store.record import StoredPlan
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "report"
STAMP = "report.json"
WRITING = ".writing"
"""The lease that whoever writes a report holds."""


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
    main : MainTable or None
        None when no run of the protocol is finished; then nothing is written.
    paths : tuple of Path
        The files of the report.
    fresh : bool
        Whether they were written now; otherwise nothing had changed since.
    """

    protocol: str
    results: Path
    folder: Path
    main: MainTable | None = None
    paths: tuple[Path, ...] = ()
    fresh: bool = False

    @property
    def table(self) -> pd.DataFrame | None:
        """The main table, one row per line, unrounded."""
        return None if self.main is None else self.main.wide

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values: one row per line, domain and metric."""
        rows: list[dict[Any, Any]] = []
        if self.main is not None:
            long = self.main.long.astype(object)
            rows = long.where(long.notna(), None).to_dict("records")
        return {
            "protocol": self.protocol,
            "results": str(self.results),
            "page": str(self.page) if self.main is not None else None,
            "files": [str(path) for path in self.paths],
            "captions": [] if self.main is None else self.main.captions,
            "rows": rows,
        }


@dataclass(frozen=True)
class Extras:
    """What a report holds beside the records' own numbers.

    Attributes
    ----------
    published : tuple of Path
        Ledgers to set beside our rows, beyond the shipped one.
    with_published : bool
        Whether printed numbers are set beside ours.
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
        If there is no plan, a record is damaged, or records are mixed without leave.
    """
    store = ResultStore(results)
    plan, finished = store.load_plan(), store.finished()
    folder = folder or results / FOLDER
    name = plan.protocol.name
    if not any(run.id in finished for run in plan.runs):
        return Report(name, results, folder)
    if not allow_mixed:
        refuse_mixtures(store, stored_mixtures(store))
    paths = None if force else _known(folder, _inputs(store, plan), extras)
    fresh = False
    if paths is None:
        # Runs that share a results folder end at the same moment and all come here.
        with waited_lease(folder, WRITING):
            inputs = _inputs(store, plan)
            paths = None if force else _known(folder, inputs, extras)
            if paths is None:
                paths, fresh = _write(results, folder, inputs, extras or Extras()), True
    return Report(name, results, folder, stored_table(store, plan), paths, fresh)


def _write(results: Path, folder: Path, inputs: str, extras: Extras) -> tuple[Path, ...]:
    from mmbench.report.analysis import analyse
    from mmbench.report.figures import draw_figures
    from mmbench.report.html import render_html
    from mmbench.report.tables import write_tables

    analysis = analyse(results)
    assert analysis is not None
    paths = write_tables(analysis, folder / "tables")
    published = sensitivity = None
    tried: list[str] = []
    if extras.with_published:
        from mmbench.claims.ledger import load_ledger
        from mmbench.report.published import set_beside

        published = set_beside(analysis, load_ledger(extras.published))
    if extras.sensitivity:
        from mmbench.report.sensitivity import sensitivity as other_policies

        sensitivity, tried = other_policies(results, analysis)
    for table, frame in (("published", published), ("sensitivity", sensitivity)):
        if frame is not None:
            path = folder / "tables" / f"{table}.csv"
            write_text(path, frame.to_csv(index=False, lineterminator="\n"))
            paths.append(path)
    figures = draw_figures(analysis, folder / "figures")
    paths += [path for figure in figures for path in (figure.svg, figure.png)]
    page = folder / "index.html"
    text = render_html(
        analysis,
        figures,
        published=published,
        sensitivity=sensitivity,
        tried=tried,
        records=_link(folder, ResultStore(results).runs_folder),
    )
    write_text(page, text)
    paths = [page, *paths]
    stamp = {
        "inputs": inputs,
        "extras": digest_json(extras.key),
        "files": [path.relative_to(folder).as_posix() for path in paths],
    }
    write_text(folder / STAMP, json.dumps(stamp, indent=1) + "\n")
    return tuple(paths)


def _link(folder: Path, target: Path) -> str:
    """Return the address of a folder, seen from a page in another one."""
    return quote(Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix())


def _inputs(store: ResultStore, plan: StoredPlan) -> str:
    """Return a digest of every record that the report shows."""
    finished, failed = store.finished(), store.failed()
    return digest_json(
        {
            "version": __version__,
            "source": digest_code("report", "stats"),
            "plan": plan.model_dump(mode="json", exclude={"created", "digest"}),
            "records": {run.id: store.digest(run.id) for run in plan.runs if run.id in finished},
            "failed": sorted(failed),
        }
    )


def _known(folder: Path, inputs: str, extras: Extras | None) -> tuple[Path, ...] | None:
    """Return the files of the report that is there, if it is whole and of these inputs."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        paths = tuple(folder / name for name in stamp["files"])
        same = stamp["inputs"] == inputs
        same &= extras is None or stamp["extras"] == digest_json(extras.key)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return paths if same and all(path.is_file() for path in paths) else None
