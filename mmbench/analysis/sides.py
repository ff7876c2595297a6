"""What two words of a comparison mean: rows of one results folder, or two folders paired row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.analysis.results import Results, has_results, read_results
from mmbench.errors import StoreError, UserError, suggestion
from mmbench.protocol.runs import RunSpec

HOME = Path("results")
"""Where results folders are looked for by name."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    name : str
        What the answer calls it.
    results : Results
        Where its records lie.
    row : str
        The row's name there.
    """

    name: str
    results: Results
    row: str

    @property
    def runs(self) -> list[RunSpec]:
        """The finished runs of the row.

        Raises
        ------
        StoreError
            If the row is unknown, or has no record yet.
        """
        own = [run for run in self.results.runs if run.label == self.row]
        if not own:
            known = suggestion(self.row, rows_of(self.results))
            raise StoreError(f"{self.results.root}: has no row {self.row!r}; {known}")
        done = [run for run in own if run.id in self.results.available]
        if not done:
            raise StoreError(f"{self.results.root}: {self.row} has no record yet; run the protocol first")
        return done

    @property
    def has_record(self) -> bool:
        """Whether any run of the row is finished."""
        return any(run.label == self.row and run.id in self.results.available for run in self.results.runs)

    @property
    def unseeded(self) -> bool:
        """Whether the row has one run per labelled subset, whatever the seeds of others: nothing is drawn."""
        own = [run for run in self.results.runs if run.label == self.row]
        others = [self.results.protocol.seeds_of(run.subset) for run in own]
        return all(run.seed == 0 for run in own) and any(seeds != range(1) for seeds in others)


def sides_of(
    a: str, b: str, *, results: Path | None = None, rows: Sequence[str] = ()
) -> list[tuple[Side, Side]]:
    """Return the pairs of sides that two words stand for.

    Parameters
    ----------
    a, b : str
        Rows of one results folder, or two results folders whose rows of the same name are paired.
    results : Path, optional
        Where rows ``a`` and ``b`` are; the one folder under ``results/`` that has both when left out.
    rows : sequence of str
        With two folders: these rows only.

    Raises
    ------
    UserError
        If the words cannot be understood.
    StoreError
        If no folder, or more than one, has the rows.
    """
    if results is None and (has_results(_folder(a)) or has_results(_folder(b))):
        return _paired_folders(a, b, rows)
    if rows:
        raise UserError("--method goes with two results folders; here A and B name the rows already")
    if a == b:
        raise UserError(f"{a} cannot be compared with itself; name two rows")
    found = read_results(results.resolve() if results is not None else _folder_with(a, b))
    return [(Side(a, found, a), Side(b, found, b))]


def rows_of(results: Results) -> list[str]:
    """Return the rows of a results folder, in order."""
    return list(dict.fromkeys(run.label for run in results.runs))


def _paired_folders(a: str, b: str, wanted: Sequence[str]) -> list[tuple[Side, Side]]:
    ones, others = read_results(_folder(a)), read_results(_folder(b))
    first, second = rows_of(ones), rows_of(others)
    trivial = ones.trivial | others.trivial
    shared = [row for row in first if row in second and row not in trivial]
    for row in wanted:
        if row not in shared:
            raise StoreError(f"--method {row}: not a row of both folders; {suggestion(row, shared)}")
    if not (wanted or shared):
        raise StoreError(f"{a} and {b} share no row; theirs are {', '.join(first)} and {', '.join(second)}")
    if ones.root == others.root:
        raise UserError(f"{a} cannot be compared with itself; name two of its rows: {', '.join(first)}")
    one, other = _endings(a, b)
    return [
        (Side(f"{row} ({one})", ones, row), Side(f"{row} ({other})", others, row)) for row in wanted or shared
    ]


def _folder(word: str) -> Path:
    """Return the folder that a word means: a path, or the name of one under results/."""
    path = Path(word)
    return (path if path.is_dir() else HOME / word).resolve()


def _endings(a: str, b: str) -> tuple[str, str]:
    """Return the shortest endings of two paths that differ."""
    ones, others = Path(a).resolve().parts, Path(b).resolve().parts
    for length in range(1, min(len(ones), len(others))):
        if ones[-length:] != others[-length:]:
            return "/".join(ones[-length:]), "/".join(others[-length:])
    return a, b


def _folder_with(*rows: str) -> Path:
    folders = [path for path in sorted(HOME.glob("*")) if has_results(path)]
    labels = {folder: set(rows_of(read_results(folder))) for folder in folders}
    having = [folder for folder in folders if labels[folder] >= set(rows)]
    if len(having) == 1:
        return having[0].resolve()
    names = " and ".join(rows)
    if having:
        listed = ", ".join(str(folder) for folder in having)
        raise StoreError(f"{names} are rows of {listed}; choose one with --results")
    known = sorted(set().union(*labels.values())) if labels else []
    where = f"no folder under results/ has the rows {names}"
    hint = f"rows there: {', '.join(known)}" if known else "there are no results yet"
    raise StoreError(f"{where} ({hint}); name a folder with --results, or two results folders")
