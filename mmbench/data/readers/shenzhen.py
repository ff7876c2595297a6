"""The Shenzhen set with the lung masks of Stirenko et al. (``shenzhen``)."""

from __future__ import annotations

from pathlib import Path

from mmbench.data.readers.contract import (
    LUNGS,
    DatasetInfo,
    Listing,
    RawCase,
    Reader,
    child,
    files_in,
    no_duplicates,
)
from mmbench.data.readers.nlm import CITATION, has_images, missing_masks_note, numbered_images
from mmbench.protocol.vocabulary import Task


class Shenzhen(Reader):
    """``CXR_png/CHNCXR_####_{0,1}.png`` with ``mask/<same>_mask.png``, one file for both lungs.

    Masks were published apart from the images; the folder may lie beside ``CXR_png`` or one level up.
    """

    info = DatasetInfo(
        name="shenzhen",
        title="Shenzhen chest X-rays with lung masks",
        tasks=(Task.SEGMENTATION,),
        findings=("normal", "tuberculosis"),
        structures=("lungs",),
        layout="ChinaSet_AllFiles/CXR_png/CHNCXR_####_{0,1}.png, mask/CHNCXR_####_{0,1}_mask.png",
        where="images: https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html (Tuberculosis Chest X-ray "
        "sets); masks: Stirenko et al. 2018, published apart",
        terms="images made available for research by the National Library of Medicine; masks CC BY-NC-SA "
        "4.0 (non-commercial)",
        citation=f"{CITATION}; masks: Stirenko et al., arXiv:1803.01199, 2018",
        published_counts={"cases": 662, "normal": 326, "tuberculosis": 336, "masks": 566},
    )
    folders = ("shenzhen", "chinaset_allfiles", "nlm-chinacxrset")

    def matches(self, folder: Path) -> bool:
        """Return whether ``CXR_png`` holds an image of this set."""
        return has_images(folder, "CHNCXR")

    def scan(self, root: Path) -> Listing:
        """Return every image, with its mask where there is one."""
        images = child(root, "CXR_png")
        assert images is not None
        masks = _masks(root)
        cases = [
            RawCase(
                case_id=stem,
                patient_id=number,
                image=path,
                masks={LUNGS: (masks[stem],)} if stem in masks else {},
                finding=finding,
            )
            for stem, (path, number, finding) in numbered_images(images, "CHNCXR").items()
        ]
        missing = sum(not case.masks for case in cases)
        return Listing(
            root,
            no_duplicates("shenzhen", cases),
            notes=missing_masks_note("shenzhen", missing, len(cases)),
        )


def _masks(root: Path) -> dict[str, Path]:
    for base in (root, root.parent):
        folder = child(base, "mask", "masks")
        if folder is None:
            continue
        folder = child(folder, "mask", "masks") or folder
        found = {
            path.stem.removesuffix("_mask"): path
            for path in files_in(folder, ".png")
            if path.stem.startswith("CHNCXR_")
        }
        if found:
            return found
    return {}
