"""ChestX-ray14 of the NIH Clinical Center, pneumonia against no finding (``chestxray14``)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from mmbench.data.readers.contract import (
    DatasetInfo,
    Listing,
    RawCase,
    Reader,
    files_in,
    no_duplicates,
    subfolders,
)
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
_PART_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}


class ChestXray14(Reader):
    """``images*/`` (flat, or the twelve ``images_0NN/images/``) with ``Data_Entry_2017[_v2020].csv``.

    An image is pneumonia if that is among its labels, normal if its only label is ``No Finding``; the
    others are left out. The official lists of parts are used if both are there.
    """

    info = DatasetInfo(
        name="chestxray14",
        title="NIH ChestX-ray14, pneumonia or no finding",
        tasks=(Task.CLASSIFICATION,),
        findings=("normal", "pneumonia"),
        layout="images/*.png or images_0NN/images/*.png, Data_Entry_2017.csv or Data_Entry_2017_v2020.csv",
        where="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        terms="no restriction on use; link to the NIH download site, cite Wang et al. 2017, acknowledge "
        "the NIH Clinical Center",
        citation="Wang et al., CVPR 2017",
        published_counts={"cases": 61792, "pneumonia": 1431, "normal": 60361},
    )
    folders = ("chestxray14", "nih", "chestx-ray14", "chestxray14", "chestxray-nihcc", "cxr8", "chestx-ray8")

    def matches(self, folder: Path) -> bool:
        """Return whether the table is here."""
        return _table(folder) is not None

    def scan(self, root: Path) -> Listing:
        """Return every image of the two kinds that the table has a row for and a file is there for."""
        table = _table(root)
        assert table is not None
        files = {path.name: path for path in _images(root)}
        if not files:
            raise DataError(f"{root}: has {table.name} but no images/ or images_0NN/images/ with PNG files")
        parts, lists = _official_parts(root)
        cases, absent, others = [], 0, 0
        for name, labels, patient in _rows(table):
            label = 1 if "Pneumonia" in labels else 0 if labels == ["No Finding"] else None
            path = files.get(name)
            if label is None:
                others += path is not None
            elif path is None:
                absent += 1
            else:
                cases.append(_case(path, patient, label, parts, lists))
        notes = []
        if others:
            notes.append(f"chestxray14: {others} images with other findings are left out")
        if absent:
            notes.append(f"chestxray14: {absent} rows of {table.name} have no image file here")
        return Listing(root, no_duplicates("chestxray14", cases), tables=(table, *lists), notes=notes)


def _case(path: Path, patient: str, label: int, parts: dict[str, str], lists: list[Path]) -> RawCase:
    part = parts.get(path.name, "")
    if parts and not part:
        raise DataError(f"{path.name}: is in neither {lists[0].name} nor {lists[1].name}")
    return RawCase(
        case_id=path.stem,
        patient_id=patient,
        image=path,
        label=label,
        part=part,
        finding="pneumonia" if label else "normal",
    )


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in _TABLES if (folder / name).is_file()), None)


def _images(root: Path) -> Iterator[Path]:
    for folder in subfolders(root):
        if folder.name.lower().startswith("images"):
            inner = folder / "images"
            yield from files_in(inner if inner.is_dir() else folder, ".png")


def _rows(table: Path) -> Iterator[tuple[str, list[str], str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            header = [name.strip() for name in next(rows, [])]
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise DataError(f"{table}: has no column {missing[0]!r}; its columns: {', '.join(header)}")
            # The official header splits "OriginalImage[Width,Height]" in two as the rows do, so positions
            # by name hold for every column before it and after it.
            image, finding, patient = (header.index(name) for name in _COLUMNS)
            for number, row in enumerate(rows, start=2):
                if not row:
                    continue
                if len(row) <= max(image, finding, patient):
                    raise DataError(f"{table} line {number}: has {len(row)} fields, too few")
                labels = [label.strip() for label in row[finding].split("|")]
                yield row[image].strip(), labels, row[patient].strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: is not a readable CSV file ({error})") from None


def _official_parts(root: Path) -> tuple[dict[str, str], list[Path]]:
    lists = [root / name for name in _PART_LISTS]
    if not all(path.is_file() for path in lists):
        return {}, []
    parts = {}
    for path, part in zip(lists, _PART_LISTS.values(), strict=True):
        for line in path.read_text(encoding="utf-8-sig").split():
            parts[line] = part
    return parts, lists
