"""Making every table of a results folder from its records and its plan, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.files import write_text
from mmbench.report.main_table import MainTable, main_table
from mmbench.report.render import csv_long, csv_wide, markdown
from mmbench.store.frames import summaries
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "tables"


@dataclass(frozen=True)
class Collected:
    """The tables of a results folder.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    results : Path
        The results folder.
    main : MainTable or None
        None when no cell of the protocol is finished.
    paths : tuple of Path
        The files written.
    """

    protocol: str
    results: Path
    main: MainTable | None = None
    paths: tuple[Path, ...] = ()

    @property
    def table(self) -> pd.DataFrame | None:
        """The main table, one row per line, unrounded."""
        return None if self.main is None else self.main.wide

    def as_json(self) -> dict[str, Any]:
        """Return the tables as JSON values: one row per line, domain and metric."""
        rows: list[dict[Any, Any]] = []
        if self.main is not None:
            long = self.main.long.astype(object)
            rows = long.where(long.notna(), None).to_dict("records")
        return {
            "protocol": self.protocol,
            "results": str(self.results),
            "tables": [str(path) for path in self.paths],
            "captions": [] if self.main is None else self.main.captions,
            "rows": rows,
        }


def collect(results: Path) -> Collected:
    """Make and write a results folder's tables.

    Parameters
    ----------
    results : Path
        The folder ``results/<protocol>``; the tables go to its subfolder ``tables``.

    Raises
    ------
    StoreError
        If there is no plan, or a record is damaged.
    """
    store = ResultStore(results)
    plan, finished = store.load_plan(), store.finished()
    protocol = plan.protocol
    if not any(cell.id in finished for cell in plan.cells):
        return Collected(protocol.name, results)
    main = main_table(
        summaries(store),
        protocol,
        plan.report.get("floors", protocol.floors),
        cells=plan.cells,
        failed=set(store.failed()),
    )
    files = {"main.md": markdown(main), "main.csv": csv_wide(main), "long.csv": csv_long(main)}
    for name, text in files.items():
        write_text(results / FOLDER / name, text)
    return Collected(protocol.name, results, main, tuple(results / FOLDER / name for name in files))
