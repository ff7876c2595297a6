"""What the two sets of the National Library of Medicine share: names, findings, citations."""

from __future__ import annotations

import re
from pathlib import Path

from mmbench.data.readers.contract import child, files_in

CITATION = "Jaeger et al., IEEE TMI 33(2), 2014; Candemir et al., IEEE TMI 33(2), 2014"
_FINDINGS = {"0": "normal", "1": "tuberculosis"}


def numbered_images(folder: Path, prefix: str) -> dict[str, tuple[Path, str, str]]:
    """Return the images named ``<prefix>_####_<0|1>`` as stem -> (path, number, finding)."""
    pattern = re.compile(rf"^{prefix}_(\d+)_([01])$", re.IGNORECASE)
    found = {}
    for path in files_in(folder, ".png"):
        match = pattern.match(path.stem)
        if match is not None:
            found[path.stem] = (path, match.group(1), _FINDINGS[match.group(2)])
    return found


def has_images(folder: Path, prefix: str) -> bool:
    """Return whether the folder has ``CXR_png`` with an image of that prefix."""
    images = child(folder, "CXR_png")
    if images is None:
        return False
    return any(path.name.upper().startswith(f"{prefix}_") for path in images.iterdir())


def missing_masks_note(name: str, missing: int, total: int) -> list[str]:
    """Return the note on images without a mask."""
    return [f"{name}: {missing} of {total} images have no mask"] if missing else []
