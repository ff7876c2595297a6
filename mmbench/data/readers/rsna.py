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
        cases, unlabelled, absent = [], 0, set(targets)
        for path in files_in(folder, ".dcm"):
            target = targets.get(path.stem)
            absent.discard(path.stem)
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
        if absent:
            notes.append(f"rsna: {len(absent)} patients of {_TABLE} have no image file here")
        return Listing(root, no_duplicates("rsna", cases), tables=(root / _TABLE,), notes=notes)

    def may_be_deep(self, path: Path) -> bool:
        """Return whether a file has more than 8 bits."""
        try:
            import pydicom

            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["BitsStored"])
            return int(header.BitsStored) > 8
        except Exception:  # of any kind, a missing package too: decoding tells
            return False

    def decode(self, path: Path) -> imaging.Gray:
        """Decode a DICOM file."""
        return decode_dicom(path)


def decode_dicom(path: Path) -> imaging.Gray:
    """Decode a DICOM image; MONOCHROME1 is inverted, and windows are not applied.

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
        raise DataError(f"{path}: its highest bit is {image.HighBit}, not {bits - 1}; store values unshifted")
    white = 2**bits - 1
    if not 255 <= white <= 65535 or _stored_top(levels, image) > white:
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
    if bits == 8:
        return imaging.Gray(levels, white, negative=negative).settled()
    # Many files of 12-bit detectors declare 16: what the set's values use decides, as with other formats.
    return imaging.Gray(
        levels.astype(np.uint16), imaging.white_of(int(levels.max())), guessed=True, negative=negative
    )


def _stored_top(levels: np.ndarray, image: Any) -> int:
    """Return the largest stored value, bits that pydicom takes away included, but for those of overlays."""
    overlays = any(
        (group, 0x0102) in image and image[group, 0x0102].value for group in range(0x6000, 0x6020, 2)
    )
    if not overlays and not image.file_meta.TransferSyntaxUID.is_compressed:
        dtype = np.dtype(np.uint16 if image.BitsAllocated == 16 else np.uint8).newbyteorder("<")
        stored = np.frombuffer(image.PixelData, dtype=dtype, count=levels.size)
        return int(stored.max(initial=0))
    return int(levels.max(initial=0))


def _targets(table: Path) -> dict[str, int]:
    targets: dict[str, int] = {}
    for row in read_table(table, ("patientId", "Target")).rows:
        patient, target = row["patientId"], row["Target"]
        if target not in ("0", "1"):
            raise DataError(f"{row.where}: Target must be 0 or 1, not {target!r}")
        if targets.setdefault(patient, int(target)) != int(target):
            raise DataError(f"{row.where}: patient {patient} has rows with Target 0 and 1")
    return targets
