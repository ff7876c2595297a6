"""The Shenzhen set with the lung masks of Stirenko et al. (``shenzhen``)."""

from __future__ import annotations

from pathlib import Path

from mmbench.data.readers.contract import DatasetInfo, Listing, Reader, no_duplicates
from mmbench.data.readers.layout import child
from mmbench.data.readers.nlm import CITATION, has_images, masks_in, masks_notes, numbered_cases
from mmbench.protocol.vocabulary import Task

_PREFIX = "CHNCXR"


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
        return has_images(folder, _PREFIX)

    def scan(self, root: Path) -> Listing:
        """Return every image, with its mask where there is one."""
        cases = numbered_cases(root, _PREFIX, _masks(root))
        notes = masks_notes(self.name, root, cases, "mask/CHNCXR_####_{0,1}_mask.png there or one level up")
        return Listing(root, no_duplicates(self.name, cases), notes=notes)


def _masks(root: Path) -> dict[str, tuple[Path, ...]]:
    for base in (root, root.parent):
        folder = child(base, "mask", "masks")
        inner = None if folder is None else child(folder, "mask", "masks")
        if found := masks_in(inner or folder, _PREFIX):
            return {stem: (path,) for stem, path in found.items()}
    return {}
