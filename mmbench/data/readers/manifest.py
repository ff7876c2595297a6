"""A dataset described by a CSV file (``manifest``): no code needed for one's own images."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from mmbench.data.readers.contract import LUNGS, DatasetInfo, Listing, RawCase, Reader, no_duplicates
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import CLASS_NAMES, Task
from mmbench.tables import Row, read_table

COLUMNS = ("image", "label", "mask", "patient_id", "split", "domain")
MANIFESTS = "manifest:"
"""Before the name of what patient ids of manifests belong to."""
OWN_PATIENT = "image "
"""Before the image's name, the id of a patient that the manifest does not name."""
_NO_IDS = {"nan", "na", "n/a", "none", "null", "-", "?", "unknown"}
_MASK = "mask_"
"""Before the structure's name, the column of its mask."""
_LABELS = {"0": 0, "1": 1, "normal": 0, "pneumonia": 1, "": None}
_PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test", "": ""}


class Manifest(Reader):
    """A CSV with a header: ``image`` and any of ``label, mask, patient_id, split, domain``.

    Paths are relative to the CSV's folder. A label is 0, 1, normal, pneumonia or empty, or one of the
    protocol's classes; a split is train, validation, test or, for every row alike, empty. ``mask`` is of the
    lungs, or holds several structures told apart by their values; ``mask_STRUCTURE`` is of another one.
    Rows without a patient id are patients of their own.
    """

    info = DatasetInfo(
        name="manifest",
        title="Your own images, listed in a CSV file",
        tasks=(Task.CLASSIFICATION, Task.SEGMENTATION),
        layout="CSV with columns image, label, mask, mask_STRUCTURE, patient_id, split, domain (image and any"
        " of the others)",
        where="write it yourself; paths in it are relative to its folder; name it by 'path' in the protocol",
        terms="those of the images",
        citation="",
    )
    folders = ()

    def matches(self, folder: Path) -> bool:
        """Return False: a manifest is named by the protocol, never looked for."""
        return False

    def scan(self, root: Path) -> Listing:
        """Return every case of the CSV file ``root``; see :meth:`scan_domain`."""
        return self.scan_domain(root, None)

    def scan_domain(self, table: Path, domain: str | None, labels: Collection[str] = ()) -> Listing:
        """Return the cases of one domain of a manifest.

        Parameters
        ----------
        table : Path
            The CSV file.
        domain : str or None
            Which domain's rows, where the manifest names several.
        labels : collection of str
            What a label may be beside the usual ones.

        Raises
        ------
        DataError
            Naming the file and line of the first fault.
        """
        if not table.is_file():
            raise DataError(f"{table}: there is no such manifest")
        found = read_table(table, ["image"], known=COLUMNS, prefix=_MASK)
        if "mask" in found.columns and _MASK + LUNGS in found.columns:
            raise DataError(f"{table}: 'mask' and {_MASK + LUNGS!r} are both of the {LUNGS}; remove one")
        if not found.rows:
            raise DataError(f"{table}: lists no image below its header")
        cases = [_case(table, row, labels) for row in _of_domain(table, found.rows, domain)]
        _check_ids(table, cases)
        return Listing(
            table.parent,
            no_duplicates("manifest", cases),
            tables=(table,),
            notes=_shared_masks(cases),
            namespace=f"{MANIFESTS}{table.resolve()}",
        )


def _of_domain(table: Path, rows: list[Row], domain: str | None) -> Iterable[Row]:
    names = sorted({row.values.get("domain", "") for row in rows})
    if len(names) <= 1:
        return rows
    if domain not in names:
        raise DataError(f"{table}: holds the domains {', '.join(names)}; say which by 'name' beside 'path'")
    return (row for row in rows if row["domain"] == domain)


def _case(table: Path, row: Row, labels: Collection[str]) -> RawCase:
    values, where = row.values, row.where
    if values.get("patient_id", "").lower() in _NO_IDS:
        raise DataError(
            f"{where}: {values['patient_id']!r} is no patient_id; leave it empty where it is unknown"
        )
    image, label, part = _tidy(values["image"]), values.get("label", ""), values.get("split", "").lower()
    label = label if label in labels else label.lower()
    if not image:
        raise DataError(f"{where}: image is empty")
    if label not in labels and label not in _LABELS:
        valid = ", ".join(labels) or "0, 1, normal, pneumonia"
        raise DataError(f"{where}: label must be {valid} or empty, not {label!r}")
    if part not in _PARTS:
        raise DataError(f"{where}: split must be train, validation or test, not {part!r}")
    masks = {
        LUNGS if column == "mask" else column.removeprefix(_MASK): name
        for column, name in values.items()
        if name and (column == "mask" or column.startswith(_MASK))
    }
    for name in (image, *masks.values()):
        if not (table.parent / name).is_file():
            raise DataError(f"{where}: there is no file {table.parent / name}")
    value = _LABELS.get(label)
    return RawCase(
        case_id=image,
        patient_id=values.get("patient_id") or f"{OWN_PATIENT}{image}",
        image=table.parent / image,
        masks={structure: (table.parent / name,) for structure, name in masks.items()},
        label=value,
        part=_PARTS[part],
        finding=label if value is None or label in labels else CLASS_NAMES[value],
    )


def _check_ids(table: Path, cases: Iterable[RawCase]) -> None:
    """Refuse ids of one patient in two spellings, as spreadsheets make them of numbers."""
    spelled: dict[str, str] = {}
    for case in cases:
        key = re.sub(r"\.0$", "", case.patient_id.casefold()).lstrip("0")
        if (other := spelled.setdefault(key, case.patient_id)) != case.patient_id:
            raise DataError(
                f"{table}: the patient ids {other!r} and {case.patient_id!r} differ in their spelling alone; "
                "write one patient's alike"
            )


def _shared_masks(cases: Iterable[RawCase]) -> list[str]:
    """Return a note on mask files of several images, as filling a column down makes them."""
    files = Counter(path for case in cases for path in {path for own in case.masks.values() for path in own})
    shared = [path for path, count in files.items() if count > 1]
    if not shared:
        return []
    images = sum(files[path] for path in shared)
    return [f"manifest: {len(shared)} mask files are each of several images ({images}), as {shared[0].name}"]


def _tidy(path: str) -> str:
    """Return a path without what does not change where it leads, so that one file has one name."""
    return os.path.normpath(path) if path else path
