"""The Montgomery County set with its lung masks (``montgomery``)."""

from __future__ import annotations

from pathlib import Path

from mmbench.data.readers.contract import DatasetInfo, Listing, Reader, no_duplicates
from mmbench.data.readers.layout import child
from mmbench.data.readers.nlm import CITATION, has_images, masks_in, masks_notes, numbered_cases
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task

_PREFIX = "MCUCXR"
_FOLDERS = ("ManualMask", "masks", "mask")


class Montgomery(Reader):
    """``CXR_png/MCUCXR_####_{0,1}.png`` with ``ManualMask/{leftMask,rightMask}/`` of the same names.

    Copies that name the folders ``left`` and ``right``, the files ``..._mask.png``, or hold one mask of both
    lungs in ``masks/`` are read as well.
    """

    info = DatasetInfo(
        name="montgomery",
        title="Montgomery County chest X-rays with lung masks",
        tasks=(Task.SEGMENTATION,),
        findings=("normal", "tuberculosis"),
        structures=("lungs",),
        layout="MontgomerySet/{CXR_png,ManualMask/leftMask,ManualMask/rightMask}/MCUCXR_####_{0,1}.png",
        where="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html (Tuberculosis Chest X-ray sets)",
        terms="made available for research by the National Library of Medicine; cite both papers",
        citation=CITATION,
        published_counts={"cases": 138, "normal": 80, "tuberculosis": 58, "masks": 138},
    )
    folders = ("montgomery", "mcu", "montgomeryset", "nlm-montgomerycxrset")
    parts = (93, 10, 35)

    def matches(self, folder: Path) -> bool:
        """Return whether ``CXR_png`` holds an image of this set."""
        return has_images(folder, _PREFIX)

    def scan(self, root: Path) -> Listing:
        """Return every image; its mask is the left or the right lung's, or one file of both."""
        cases = numbered_cases(root, _PREFIX, _masks(root))
        notes = masks_notes(self.name, root, cases, "ManualMask/leftMask and ManualMask/rightMask")
        return Listing(root, no_duplicates(self.name, cases), notes=notes)


def _masks(root: Path) -> dict[str, tuple[Path, ...]]:
    folder = child(root, *_FOLDERS)
    if folder is None:
        return {}
    folder = child(folder, *_FOLDERS) or folder
    left, right = (
        masks_in(child(folder, f"{side}Mask", side, f"{side}_mask", f"{side} lung", f"{side}_lung"), _PREFIX)
        for side in ("left", "right")
    )
    if not left and not right:
        return {stem: (path,) for stem, path in masks_in(folder, _PREFIX).items()}
    for stem in sorted(left.keys() ^ right.keys()):
        raise DataError(f"{left.get(stem) or right[stem]}: the other lung's mask is missing")
    return {stem: (left[stem], right[stem]) for stem in left}
