"""Kermany et al.'s paediatric chest X-rays (``kermany``)."""

from __future__ import annotations

import re
from pathlib import Path

from mmbench.data.readers.contract import DatasetInfo, Listing, RawCase, Reader, no_duplicates
from mmbench.data.readers.layout import PART_FOLDERS, child, files_in, part_folder, subfolders
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task

_PERSON = re.compile(r"^(person\d+)_(bacteria|virus)(?:_\d+)+$", re.IGNORECASE)
_NORMAL = re.compile(r"^((?:NORMAL2-)?IM-\d+)(?:-\d+)+$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(BACTERIA|VIRUS|NORMAL)-(\d+)-\d+$", re.IGNORECASE)
_LABELS = {"NORMAL": 0, "PNEUMONIA": 1}


class Kermany(Reader):
    """``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg``; the folder is the label.

    The official validation part holds 16 images whose numbering continues the training part's; it joins
    the training part. Patient ids are scoped by part, because whether ``person12`` of the training part is
    ``person12`` of the test part is not documented. The later release names files
    ``BACTERIA-<patient>-####.jpeg``, whose number is the patient's throughout. Folders are found in upper or
    lower case, and the parts by their other usual names (``validation``, ``testing``...).
    """

    info = DatasetInfo(
        name="kermany",
        title="Kermany paediatric chest X-rays, normal or pneumonia",
        tasks=(Task.CLASSIFICATION,),
        findings=("normal", "bacteria", "virus"),
        layout="chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg",
        where="https://data.mendeley.com/datasets/rscbjbr9sj (ChestXRay2017.zip)",
        terms="CC BY 4.0; cite Kermany et al. 2018",
        citation="Kermany et al., Cell 172(5), 2018; data doi:10.17632/rscbjbr9sj",
        published_counts={
            "cases": 5856,
            "train normal": 1341,
            "train pneumonia": 3875,
            "validation normal": 8,
            "validation pneumonia": 8,
            "test normal": 234,
            "test pneumonia": 390,
        },
    )
    folders = ("kermany", "chest_xray", "chestxray2017", "chex")
    joined_validation = 50

    def matches(self, folder: Path) -> bool:
        """Return whether the folder has ``train`` or ``test`` with both classes."""
        parts = [part_folder(folder, part) for part in ("train", "test")]
        return any(all(child(part, name) for name in _LABELS) for part in parts if part is not None)

    def scan(self, root: Path) -> Listing:
        """Return every image, with its folder as label and part."""
        cases = []
        for part in PART_FOLDERS:
            folder = part_folder(root, part)
            _check_classes(folder)
            for name, label in _LABELS.items():
                images = None if folder is None else child(folder, name)
                if images is not None:
                    files = files_in(images, ".jpeg", ".jpg", ".png")
                    cases += [_case(path, part, label) for path in files]
        return Listing(root, no_duplicates("kermany", cases), notes=_notes(cases))


def _check_classes(folder: Path | None) -> None:
    """Refuse a part that has other classes: the same authors published eyes in the same layout."""
    for other in () if folder is None else subfolders(folder):
        if other.name.upper() not in _LABELS and any(files_in(other, ".jpeg", ".jpg", ".png")):
            raise DataError(
                f"{other}: is no class of kermany, which has NORMAL and PNEUMONIA; take it out, or name the "
                "folder of the chest X-rays"
            )


def _case(path: Path, part: str, label: int) -> RawCase:
    patient, finding = _patient_and_finding(path, "test" if part == "test" else "train")
    if (finding == "normal") != (label == 0):
        raise DataError(f"{path}: is named as {finding}, but lies in {path.parent.name}/; move or rename it")
    return RawCase(
        case_id=f"{part}/{path.stem}",
        patient_id=patient,
        image=path,
        label=label,
        part=part,
        finding=finding,
    )


def _patient_and_finding(path: Path, scope: str) -> tuple[str, str]:
    if match := _PERSON.match(path.stem):
        return f"{scope}/{match.group(1)}", match.group(2).lower()
    if match := _NORMAL.match(path.stem):
        return f"{scope}/{match.group(1)}", "normal"
    if match := _NUMBERED.match(path.stem):
        return f"patient/{match.group(2)}", match.group(1).lower()
    raise DataError(
        f"{path}: is not named like the official files "
        "(person12_bacteria_34, IM-0115-0001, NORMAL2-IM-0012-0001, BACTERIA-1234-0001)"
    )


def _notes(cases: list[RawCase]) -> list[str]:
    people: dict[str, set[str]] = {"train": set(), "test": set()}
    for case in cases:
        scope, patient = case.patient_id.split("/")
        if scope in people and patient.lower().startswith("person"):
            people[scope].add(patient)
    both = people["train"] & people["test"]
    if not both:
        return []
    return [
        f"kermany: {len(both)} of {len(people['test'])} personN ids of the test part also occur in the "
        "training part; whether they are the same children is not documented, so ids are kept apart by part"
    ]
