"""The Montgomery County set with its lung masks (``montgomery``)."""

from __future__ import annotations

from pathlib import Path

from mmbench.data.readers.contract import (
    LUNGS,
    DatasetInfo,
    Listing,
    RawCase,
    Reader,
    child,
    no_duplicates,
)
from mmbench.data.readers.nlm import CITATION, has_images, missing_masks_note, numbered_images
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task


class Montgomery(Reader):
    """``CXR_png/MCUCXR_####_{0,1}.png`` with ``ManualMask/{leftMask,rightMask}/`` of the same names."""

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
    folders = ("montgomery", "montgomery", "montgomeryset", "nlm-montgomerycxrset")
    parts = (93, 10, 35)

    def matches(self, folder: Path) -> bool:
        """Return whether ``CXR_png`` holds an image of this set."""
        return has_images(folder, "MCUCXR")

    def scan(self, root: Path) -> Listing:
        """Return every image; its mask is the left or the right lung's."""
        images = child(root, "CXR_png")
        masks = child(root, "ManualMask")
        assert images is not None
        sides = [child(masks, side) if masks else None for side in ("leftMask", "rightMask")]
        cases = []
        for stem, (path, number, finding) in numbered_images(images, "MCUCXR").items():
            files = [side / path.name for side in sides if side is not None and (side / path.name).is_file()]
            if len(files) == 1:
                raise DataError(f"{files[0]}: the other lung's mask is missing")
            cases.append(
                RawCase(
                    case_id=stem,
                    patient_id=number,
                    image=path,
                    masks={LUNGS: tuple(files)} if files else {},
                    finding=finding,
                )
            )
        missing = sum(not case.masks for case in cases)
        return Listing(
            root,
            no_duplicates("montgomery", cases),
            notes=missing_masks_note("montgomery", missing, len(cases)),
        )
