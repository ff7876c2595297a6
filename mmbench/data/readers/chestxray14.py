"""ChestX-ray14 of the NIH Clinical Center, pneumonia against no finding (``chestxray14``)."""

from __future__ import annotations

import re
from pathlib import Path

from mmbench.data.readers.contract import DatasetInfo, Listing, RawCase, Reader, no_duplicates
from mmbench.data.readers.layout import child, file, files_in, subfolders
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task
from mmbench.tables import Row, read_table, read_text

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
_NONE = "no finding"
_FINDINGS = {
    *("atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis", "hernia"),
    *("infiltration", "mass", "nodule", "pleural_thickening", "pneumonia", "pneumothorax", _NONE),
}
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
    folders = ("chestxray14", "nih", "nihx", "chestx-ray14", "chestxray-nihcc", "cxr8", "chestx-ray8")

    def matches(self, folder: Path) -> bool:
        """Return whether the table is here."""
        return _table(folder) is not None

    def scan(self, root: Path) -> Listing:
        """Return every image of the two kinds that the table has a row for and a file is there for."""
        table = _table(root)
        assert table is not None
        files = _images(root)
        if not files:
            raise DataError(f"{root}: has {table.name} but no images/ or images_0NN/images/ with PNG files")
        parts, lists, notes = _official_parts(root)
        others_of_it = [name for name in _TABLES if name != table.name and file(root, name) is not None]
        notes += [f"chestxray14: {table.name} is used, and {name} is not" for name in others_of_it]
        cases: list[RawCase] = []
        absent = 0
        others: set[Path] = set()
        for row in read_table(table, _COLUMNS).unique("Image Index"):
            findings = [finding.strip().lower() for finding in row["Finding Labels"].split("|")]
            _check_row(row, findings)
            label = 1 if "pneumonia" in findings else 0 if findings == [_NONE] else None
            path = files.get(row["Image Index"])
            if path is None:
                absent += label is not None
            elif label is None:
                others.add(path)
            else:
                cases.append(_case(path, row["Patient ID"], label, parts, lists))
        if others:
            notes.append(f"chestxray14: {len(others)} images with other findings are left out")
        if absent:
            notes.append(f"chestxray14: {absent} rows of {table.name} have no image file here")
        return Listing(
            root,
            no_duplicates("chestxray14", cases),
            tables=(table, *lists),
            notes=notes,
            left_out=frozenset(others),
        )


def _check_row(row: Row, findings: list[str]) -> None:
    """Refuse a row whose findings or patient cannot be right: sorted or edited columns look so."""
    if not row["Patient ID"]:
        raise DataError(f"{row.where}: Patient ID is empty")
    for finding in findings:
        if finding not in _FINDINGS:
            raise DataError(f"{row.where}: {finding!r} is no finding of ChestX-ray14; '|' separates several")
    if _NONE in findings and len(findings) > 1:
        raise DataError(f"{row.where}: No Finding stands beside a finding; keep one of them")
    named = re.match(r"(\d{8})_\d{3}\.", row["Image Index"])
    patient = row["Patient ID"]
    if named and not (patient.isdecimal() and int(patient) == int(named[1])):
        raise DataError(f"{row.where}: {row['Image Index']} is not of patient {patient}; check the columns")


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
    return next((found for name in _TABLES if (found := file(folder, name))), None)


def _images(root: Path) -> dict[str, Path]:
    """Return the image files by name.

    Raises
    ------
    DataError
        If two have the same name.
    """
    found: dict[str, Path] = {}
    for folder in subfolders(root):
        if folder.name.lower().startswith("images"):
            for path in files_in(child(folder, "images") or folder, ".png"):
                if (known := found.setdefault(path.name, path)) != path:
                    raise DataError(f"{path}: the same image is also at {known}; remove one")
    return found


def _official_parts(root: Path) -> tuple[dict[str, str], list[Path], list[str]]:
    """Return each image's part, the lists that say so, and what to note of them."""
    lists = {name: file(root, name) for name in _PART_LISTS}
    found = [path for path in lists.values() if path is not None]
    if len(found) == 1:
        (missing,) = [name for name, path in lists.items() if path is None]
        return (
            {},
            [],
            [f"chestxray14: {missing} is missing, so {found[0].name} is not used and parts are drawn"],
        )
    parts: dict[str, str] = {}
    for path, part in zip(found, _PART_LISTS.values(), strict=False):
        names = read_text(path).split()
        if not names:
            raise DataError(f"{path}: names no image; get it again, or remove both lists")
        for name in names:
            if parts.setdefault(name, part) != part:
                raise DataError(f"{path}: {name} is also in {found[0].name}; it belongs to one part")
    return parts, found, []
