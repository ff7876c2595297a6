"""The folder in which a protocol's records lie.

::

    results/<protocol>/
        plan.json             what the protocol asks for
        runs/<id>/           run.json, cases.parquet, losses.parquet, ...; whole or absent
        failures/<id>.json    runs that ended with an error
        checkpoints/<id>      trainings that were interrupted
        leases/               runs that a process is computing now
        quarantine/           damaged files, set aside
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import StoreError, UnwritableStoreError
from mmbench.files import digest_file, whole_folder, write_text
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.store.reading import parse, read_json
from mmbench.store.record import Failure, RunRecord, StoredPlan, content_digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

RECORD = "run.json"
CASES = "cases.parquet"
LOSSES = "losses.parquet"
VALIDATION = "validation.parquet"
MASKS = "masks.npz"
TRUTH = "truth:"
"""Begins the names of arrays with a domain's reference masks in ``MASKS``, one bit per pixel."""
_ID = re.compile(r"[0-9a-f]{16}")


class ResultStore:
    """Records of one protocol.

    Parameters
    ----------
    root : Path
        The folder ``results/<protocol>``; it is made by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.runs_folder = self.root / "runs"
        self.failures_folder = self.root / "failures"
        self.checkpoints_folder = self.root / "checkpoints"
        self.leases_folder = self.root / "leases"
        self.quarantine_folder = self.root / "quarantine"
        self._read: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}

    def folder(self, id: str) -> Path:
        """Return the folder of a run's record, whether or not it is there."""
        return self.runs_folder / id

    def finished(self) -> set[str]:
        """Return the ids of every run that has a record and did not fail since; nothing is opened."""
        return set(self.recorded()) - {
            entry.name.removesuffix(".json") for entry in _entries(self.failures_folder)
        }

    def recorded(self) -> list[str]:
        """Return the ids of every run that has a record, whether or not it failed since."""
        return sorted(entry.name for entry in _entries(self.runs_folder) if _ID.fullmatch(entry.name))

    def is_finished(self, id: str) -> bool:
        """Whether a run is among :meth:`finished`."""
        return self.folder(id).is_dir() and not self._failure_path(id).exists()

    def failed(self) -> dict[str, Failure]:
        """Return the failures, by id; one beside a record is a later attempt to replace it.

        Raises
        ------
        StoreError
            If a failure's file is damaged.
        """
        return {path.stem: self.read_failure(path) for path in self.failure_files()}

    def failure_files(self) -> list[Path]:
        """Return the file of every failure."""
        found = _entries(self.failures_folder)
        return sorted(Path(e.path) for e in found if _ID.fullmatch(e.name.removesuffix(".json")))

    def read_failure(self, path: Path) -> Failure:
        """Return the failure that a file holds.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        return parse(Failure, read_json(path, self._mend()), path, self._mend())

    def write(
        self,
        record: RunRecord,
        cases: pd.DataFrame,
        losses: pd.DataFrame,
        validation: pd.DataFrame | None = None,
        extra_files: Callable[[Path], None] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Write a record, whole or not at all, and forget a failure of the same run.

        Parameters
        ----------
        record : CellRecord
            Its ``checksums`` and ``digest`` are filled in here.
        cases : DataFrame
            One row per case, task and target domain.
        losses : DataFrame
            One row per logged step.
        validation : DataFrame, optional
            One row per validation.
        extra_files : callable, optional
            Writes further files into the folder it is given.
        replace : bool
            Take the place of a record that is already there; otherwise that one stays.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        if record.id != record.run.id:
            raise ValueError(f"record {record.id} is not of run {record.run.id}")
        target = self.folder(record.id)
        with self.writing(), self._replacing(target, replace) as set_aside, whole_folder(target) as folder:
            _write_parquet(cases, folder / CASES)
            _write_parquet(losses, folder / LOSSES)
            if validation is not None:
                _write_parquet(validation, folder / VALIDATION)
            if extra_files is not None:
                extra_files(folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            checksums = {path.relative_to(folder).as_posix(): digest_file(path) for path in files}
            (folder / RECORD).write_text(record.sealed(checksums).text(), encoding="utf-8")
            set_aside()
        self.clear_failure(record.id)

    def write_failure(self, run: RunSpec, error: str, traceback: str = "", seconds: float = 0.0) -> None:
        """Record that a run ended with an error; of ``error`` the first line is kept."""
        line = next(iter(error.strip().splitlines()), "unknown error")
        failure = Failure(id=run.id, run=run, error=line, traceback=traceback, seconds=seconds)
        with self.writing():
            write_text(self._failure_path(run.id), failure.model_dump_json(indent=1) + "\n")

    def failure_version(self, id: str) -> int | None:
        """Return what changes when a run's failure is written again; None if it has none."""
        version = _version(self._failure_path(id))
        return None if version is None else version[0]

    def clear_failure(self, id: str) -> None:
        """Forget a run's failure, if there is one."""
        self._failure_path(id).unlink(missing_ok=True)

    def remove(self, id: str) -> None:
        """Remove a run's record and failure, if there are any."""
        self.clear_failure(id)
        with self.writing():
            for old in _set_aside(self.folder(id)):
                shutil.rmtree(old)

    def read(self, id: str) -> RunRecord:
        """Return a run's record.

        Raises
        ------
        StoreError
            If there is none, or it does not match its digest or schema.
        """
        return parse(RunRecord, self.content(id), self.folder(id) / RECORD, self._mend())

    def content(self, id: str) -> dict[str, Any]:
        """Return a record's JSON as plain data, checked against its digest but not its schema."""
        path = self.folder(id) / RECORD
        version = _version(path)
        known = self._read.get(id)
        if known is not None and known[0] == version:
            return known[1]
        content = read_json(path, self._mend())
        if content.get("id") != id or content.get("digest") != content_digest(content):
            raise StoreError(f"{path}: the record was changed after it was written; {self._mend()}")
        if version is not None:
            self._read[id] = (version, content)
        return content

    def digest(self, id: str) -> str:
        """Return a record's digest, its scores checked against their sum."""
        content = self.content(id)
        self._checked(id, CASES, content["checksums"])
        return str(content["digest"])

    def cases(self, id: str) -> pd.DataFrame:
        """Return a run's scores, one row per case, task and target domain, checked against their sum."""
        return self._parquet(id, CASES)

    def cases_table(self, id: str) -> pa.Table:
        """Return :meth:`cases` as an Arrow table."""
        return self._table(id, CASES)

    def losses(self, id: str) -> pd.DataFrame:
        """Return a run's loss terms, one row per logged step."""
        return self._parquet(id, LOSSES)

    def validation(self, id: str) -> pd.DataFrame | None:
        """Return a run's validation scores, or None if its selection rule made none."""
        return self._parquet(id, VALIDATION) if VALIDATION in self.content(id)["checksums"] else None

    def masks(self, id: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return a run's predicted and reference masks by domain.

        Returns
        -------
        dict of str to tuple
            floor(65536 p) as uint16, and bool, both of shape (N, S, S); empty where the record holds no
            masks, or no reference masks (records of early versions).

        Raises
        ------
        StoreError
            If the file does not match its checksum.
        """
        import numpy as np

        checksums = self.content(id)["checksums"]
        if MASKS not in checksums:
            return {}
        path = self._checked(id, MASKS, checksums)
        found = {}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for name in arrays.files:
                    if f"{TRUTH}{name}" in arrays.files:
                        predicted = arrays[name]
                        bits = np.unpackbits(arrays[f"{TRUTH}{name}"], count=predicted.size)
                        found[name] = (predicted, bits.reshape(predicted.shape).astype(bool))
        except (ValueError, TypeError, EOFError, zipfile.BadZipFile):
            raise StoreError(f"{path}: does not hold masks; {self._mend()}") from None
        return found

    def verify(self, id: str) -> RunRecord:
        """Check every file of a record against its checksum and return the record.

        Raises
        ------
        StoreError
            On the first file that is missing or changed.
        """
        record = self.read(id)
        for name in record.checksums:
            self._checked(id, name, record.checksums)
        return record

    def checkpoint(self, id: str) -> Path:
        """Return where a run's unfinished training is saved, whether or not it is."""
        return self.checkpoints_folder / id

    def checkpoints(self) -> list[Path]:
        """Return the saved trainings."""
        found = _entries(self.checkpoints_folder)
        return sorted(Path(entry.path) for entry in found if _ID.fullmatch(entry.name))

    def save_plan(self, protocol: Protocol, runs: list[RunSpec], report: Mapping[str, Any]) -> None:
        """Write down what the protocol asks for.

        Parameters
        ----------
        protocol : Protocol
            As loaded.
        runs : list of RunSpec
            Everything to train and evaluate, trivial baselines included.
        report : mapping
            JSON-ready facts for the report, such as leak counts and notes on the data.
        """
        plan = StoredPlan(protocol=protocol, runs=runs, report=dict(report))
        content = plan.model_dump(mode="json")
        content["digest"] = content_digest(content)
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        with self.writing():
            write_text(self.root / "plan.json", text)

    def has_plan(self) -> bool:
        """Whether a plan was saved."""
        return (self.root / "plan.json").is_file()

    def load_plan(self) -> StoredPlan:
        """Return the plan saved last.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        """
        path = self.root / "plan.json"
        mend = f"make it with: mmbench run PROTOCOL --results {self.root}"
        if not path.is_file():
            raise StoreError(f"{self.root}: no plan.json, so no results folder; {mend}")
        content = read_json(path, mend)
        if content.get("digest", "") not in ("", content_digest(content)):
            raise StoreError(f"{path}: was changed after it was written; {mend}")
        return parse(StoredPlan, content, path, mend)

    def _failure_path(self, id: str) -> Path:
        return self.failures_folder / f"{id}.json"

    def _mend(self) -> str:
        return f"mend it with: mmbench doctor {self.root} --repair"

    def _parquet(self, id: str, name: str) -> pd.DataFrame:
        frame: pd.DataFrame = self._table(id, name).to_pandas()
        return frame

    def _table(self, id: str, name: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._checked(id, name, self.content(id)["checksums"])
        try:
            return pq.ParquetFile(path).read(use_threads=False)
        except pa.ArrowException:
            raise StoreError(f"{path}: is not a Parquet table; {self._mend()}") from None

    def _checked(self, id: str, name: str, checksums: Mapping[str, str]) -> Path:
        path = self.folder(id) / name
        if name not in checksums:
            raise StoreError(f"{path}: the record has no such file; {self._mend()}")
        try:
            found = digest_file(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}); {self._mend()}") from None
        if found != checksums[name]:
            raise StoreError(f"{path}: does not match its checksum; {self._mend()}")
        return path

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of every error of the operating system that the folder cannot be written.

        Raises
        ------
        UnwritableStoreError
            In place of the error.
        """
        try:
            yield
        except OSError as error:
            where = error.filename or self.root
            raise UnwritableStoreError(
                f"{where}: cannot be written ({error.strerror or error}); free space, or choose "
                "another folder with --results"
            ) from error

    @contextmanager
    def _replacing(self, target: Path, replace: bool) -> Iterator[Callable[[], None]]:
        """Yield a function that moves ``target`` away; at the end it is deleted, or put back on an error."""
        moved: list[Path] = []

        def set_aside() -> None:
            if replace:
                moved.extend(_set_aside(target))

        try:
            yield set_aside
        except BaseException:
            if moved and not target.exists():
                (moved[0] / target.name).rename(target)
            raise
        finally:
            for old in moved:
                shutil.rmtree(old, ignore_errors=True)


def _set_aside(folder: Path) -> list[Path]:
    """Move a folder into a hidden one beside it; return that one, or nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    parent = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        folder.rename(parent / folder.name)
    except FileNotFoundError:  # another process was faster
        parent.rmdir()
        return []
    return [parent]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")
