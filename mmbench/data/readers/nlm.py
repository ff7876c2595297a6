"""What the two sets of the National Library of Medicine share: names, findings, masks, citations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mmbench.data.readers.contract import LUNGS, RawCase
from mmbench.data.readers.layout import child, files_in
from mmbench.errors import DataError

CITATION = "Jaeger et al., IEEE TMI 33(2), 2014; Candemir et al., IEEE TMI 33(2), 2014"
IMAGES = "CXR_png"
MASK_SUFFIXES = (".png", ".gif", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
_FINDINGS = {"0": "normal", "1": "tuberculosis"}


def numbered_cases(root: Path, prefix: str, masks: dict[str, tuple[Path, ...]]) -> list[RawCase]:
    """Return the images named ``<prefix>_####_<0|1>`` with their masks of the lungs.

    Parameters
    ----------
    root : Path
        The folder that holds ``CXR_png``.
    prefix : str
        ``MCUCXR`` or ``CHNCXR``.
    masks : dict of str to tuple of Path
        By the image's name without suffix, upper case.
    """
    pattern = re.compile(rf"^{prefix}_(\d+)_([01])$", re.IGNORECASE)
    images = child(root, IMAGES)
    assert images is not None
    return [
        RawCase(
            case_id=path.stem,
            patient_id=match.group(1),
            image=path,
            masks={LUNGS: found} if (found := masks.get(path.stem.upper())) else {},
            finding=_FINDINGS[match.group(2)],
        )
        for path in files_in(images, ".png")
        if (match := pattern.match(path.stem))
    ]


def has_images(folder: Path, prefix: str) -> bool:
    """Return whether the folder has ``CXR_png`` with an image of that prefix."""
    images = child(folder, IMAGES)
    if images is None:
        return False
    return any(path.name.upper().startswith(f"{prefix}_") for path in files_in(images, ".png"))


def masks_in(folder: Path | None, prefix: str = "") -> dict[str, Path]:
    """Return a folder's masks by the image's name, upper case; ``_mask`` may follow it.

    Raises
    ------
    DataError
        If two files are masks of one image.
    """
    found: dict[str, Path] = {}
    for path in () if folder is None else files_in(folder, *MASK_SUFFIXES):
        stem = path.stem.upper().removesuffix("_MASK")
        if stem.startswith(prefix.upper()) and (known := found.setdefault(stem, path)) != path:
            raise DataError(f"{path}: {known.name} is a mask of the same image; remove one")
    return found


def masks_notes(name: str, root: Path, cases: Iterable[RawCase], places: str) -> list[str]:
    """Return the note on images without a mask.

    Raises
    ------
    DataError
        If none has one, since masks are all that such a data set is for.
    """
    cases = list(cases)
    missing = sum(LUNGS not in case.masks for case in cases)
    if cases and missing == len(cases):
        raise DataError(f"{root}: none of the {len(cases)} images of {name} has a mask; expected {places}")
    return [f"{name}: {missing} of {len(cases)} images have no mask"] if missing else []
