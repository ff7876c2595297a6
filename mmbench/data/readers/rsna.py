"""The RSNA pneumonia detection challenge (``rsna``); needs the extra ``mmbench[rsna]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmbench.data import imaging
from mmbench.data.readers.contract import DatasetInfo, Listing, RawCase, Reader, no_duplicates
from mmbench.data.readers.layout import files_in
from mmbench.errors import DataError, MissingPackageError
from mmbench.protocol.vocabulary import Task
from mmbench.tables import read_table

_TABLE = "stage_2_train_labels.csv"
_IMAGES = "stage_2_train_images"


class Rsna(Reader):
    """``stage_2_train_images/<patientId>.dcm`` with ``stage_2_train_labels.csv``; ``Target`` is the label.

    A patient has one image and one row for each box. ``Target`` 0 covers normal chests and chests with
    other findings alike. The test images of the challenge have no labels and are not read.
    """

    info = DatasetInfo(
        name="rsna",
        title="RSNA pneumonia detection challenge, lung opacity or none",
        tasks=(Task.CLASSIFICATION,),
        findings=("normal", "pneumonia"),
        layout="stage_2_train_images/<patientId>.dcm, stage_2_train_labels.csv",
        where="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (account needed)",
        terms=(
            "see the challenge's rules; the images are from NIH ChestX-ray14, so they overlap with "
            "chestxray14"
        ),
        citation="Shih et al., Radiology: Artificial Intelligence 1(1), 2019",
        published_counts={"cases": 26684, "pneumonia": 6012, "normal": 20672},
    )
    folders = ("rsna", "rsna-pneumonia-detection-challenge")

    def matches(self, folder: Path) -> bool:
        """Return whether the table of labels is here."""
        return (folder / _TABLE).is_file()

    def scan(self, root: Path) -> Listing:
        """Return every labelled image."""
        folder = root / _IMAGES
        if not folder.is_dir():
            raise DataError(f"{root}: has {_TABLE} but no {_IMAGES}/")
        targets = _targets(root / _TABLE)
        cases, unlabelled = [], 0
        for path in files_in(folder, ".dcm"):
            target = targets.get(path.stem)
            if target is None:
                unlabelled += 1
                continue
            finding = "pneumonia" if target else "normal"
            cases.append(
                RawCase(case_id=path.stem, patient_id=path.stem, image=path, label=target, finding=finding)
            )
        notes = ["rsna: its images are from NIH ChestX-ray14 under other patient ids"]
        if unlabelled:
            notes.append(f"rsna: {unlabelled} images without a row in {_TABLE} are left out")
        return Listing(root, no_duplicates("rsna", cases), tables=(root / _TABLE,), notes=notes)

    def decode(self, path: Path) -> imaging.Gray:
        """Decode a DICOM file."""
        return decode_dicom(path)


def decode_dicom(path: Path) -> imaging.Gray:
    """Decode a DICOM image; MONOCHROME1 is inverted, ``BitsStored`` gives the white level.

    Raises
    ------
    DataError
        If pydicom is not installed, or the file is not a single monochrome image of 8 to 16 bits.
    """
    imaging.check_file(path)
    try:
        import pydicom
    except ImportError:
        raise MissingPackageError("reading DICOM needs pydicom; run pip install 'mmbench[rsna]'") from None
    try:
        image = pydicom.dcmread(path)
        rows, columns = int(image.Rows), int(image.Columns)
        if rows * columns > imaging.MAX_PIXELS:
            raise DataError(f"{path}: {columns} x {rows} pixels are too many for a radiograph")
        levels = np.asarray(image.pixel_array)
    except DataError:
        raise
    # pydicom passes on whatever its many decoders raise.
    except Exception as error:
        raise DataError(f"{path}: cannot be decoded ({' '.join(str(error).split())})") from None
    return _gray(levels, image, path)


def _gray(levels: np.ndarray, image: Any, path: Path) -> imaging.Gray:
    """Return gray levels, brighter being denser.

    What decides how the stored values are to be seen is followed where it is simple and refused where it is
    not (DICOM PS3.3, C.7.6.3.1.2, C.11.1 and C.11.6).
    """
    if levels.ndim != 2 or levels.dtype.kind != "u":
        raise DataError(f"{path}: is not a single monochrome image of unsigned values")
    polarity = str(image.get("PhotometricInterpretation", ""))
    if polarity not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(f"{path}: its values are {polarity or 'of no stated kind'}, not gray levels")
    bits = int(image.BitsStored)
    if int(image.get("HighBit", bits - 1)) != bits - 1:
        raise DataError(
            f"{path}: its highest bit is {image.HighBit}, not {bits - 1}; store the values unshifted"
        )
    white = 2**bits - 1
    if not 255 <= white <= 65535 or levels.max(initial=0) > white:
        raise DataError(f"{path}: its values do not fit the {bits} bits it declares")
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        if image.get(name):
            raise DataError(f"{path}: is to be seen through a table ({name}), which is not applied; apply it")
    negative = polarity == "MONOCHROME1"
    if negative != (image.get("PresentationLUTShape", "INVERSE" if negative else "IDENTITY") == "INVERSE"):
        raise DataError(
            f"{path}: {polarity} and PresentationLUTShape contradict each other about what is white"
        )
    if float(image.get("RescaleSlope", 1) or 1) < 0:
        negative = not negative
    return imaging.Gray(levels, white, negative=negative).settled()


def _targets(table: Path) -> dict[str, int]:
    targets: dict[str, int] = {}
    for row in read_table(table, ("patientId", "Target")).rows:
        patient, target = row["patientId"], row["Target"]
        if target not in ("0", "1"):
            raise DataError(f"{row.where}: Target must be 0 or 1, not {target!r}")
        if targets.setdefault(patient, int(target)) != int(target):
            raise DataError(f"{row.where}: patient {patient} has rows with Target 0 and 1")
    return targets
