"""The JSRT set with the SCR masks (``jsrt``), the segmentation source of the publication."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from mmbench.data import imaging
from mmbench.data.readers.contract import LUNGS, DatasetInfo, Listing, RawCase, Reader, no_duplicates
from mmbench.data.readers.layout import child, files_in, subfolders
from mmbench.data.readers.nlm import masks_notes
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import Task

_NAME = re.compile(r"^JPC(LN|NN)(\d{3})$", re.IGNORECASE)
_FINDINGS = {"LN": "nodule", "NN": "no nodule"}
_PARTS = {
    LUNGS: ("left lung", "right lung"),
    "heart": ("heart",),
    "clavicles": ("left clavicle", "right clavicle"),
}
"""SCR's folders of each structure."""
_FOLDERS = tuple(name for names in _PARTS.values() for name in names)
_RAW_SIDE = 2048
_RAW_WHITE = 4095
_MASK_DEPTH = 5


class Jsrt(Reader):
    """``JPC{LN,NN}###.IMG`` or PNG files of the same names; SCR masks ``left lung`` and ``right lung``.

    The raw files hold 2048 x 2048 big-endian 16-bit values of which 12 bits are used; 0 is white film, so
    they are inverted. The masks are GIF files, in ``fold1/masks`` and ``fold2/masks`` as published or
    gathered; they are looked for below the images and beside them, in folders named ``scr*``, ``fold*`` or
    ``mask*``.
    """

    info = DatasetInfo(
        name="jsrt",
        title="JSRT chest X-rays with SCR lung masks",
        tasks=(Task.SEGMENTATION,),
        findings=("nodule", "no nodule"),
        structures=("lungs", "heart", "clavicles"),
        layout="JPC{LN,NN}###.IMG (2048 x 2048 raw) or .png; SCR {fold1,fold2}/masks/{left lung,right "
        "lung}/JPC{LN,NN}###.gif",
        where="images: http://db.jsrt.or.jp/eng.php (free registration); masks: the SCR database of the "
        "Image Sciences Institute, Utrecht (free registration)",
        terms="research use after registration; neither images nor masks may be redistributed",
        citation="Shiraishi et al., AJR 174, 2000; masks: van Ginneken et al., Medical Image Analysis 10, "
        "2006",
        published_counts={"cases": 247, "nodule": 154, "no nodule": 93, "masks": 247},
    )
    folders = ("jsrt", "jsrt_scr", "jsrt-scr")
    parts = (111, 13, 123)

    def matches(self, folder: Path) -> bool:
        """Return whether the folder holds JSRT images, and not SCR masks of the same names."""
        return folder.name.lower() not in _FOLDERS and bool(_images(folder))

    def scan(self, root: Path) -> Listing:
        """Return every image, with the masks of the structures that it has."""
        images = _images(root)
        masks = _masks(root)
        cases = []
        for path in images:
            kind, number = _NAME.match(path.stem).groups()  # type: ignore[union-attr]
            stem = path.stem.upper()
            cases.append(
                RawCase(
                    case_id=stem,
                    patient_id=f"{kind.upper()}{number}",
                    image=path,
                    masks=_structures(masks.get(stem, {})),
                    finding=_FINDINGS[kind.upper()],
                )
            )
        notes = masks_notes(self.name, root, cases, "SCR's folders 'left lung' and 'right lung'")
        return Listing(root, no_duplicates(self.name, cases), notes=notes)

    def decode(self, path: Path) -> imaging.Gray:
        """Decode a raw or an ordinary image file."""
        return decode_raw(path) if path.suffix.lower() == ".img" else imaging.decode(path)


def decode_raw(path: Path) -> imaging.Gray:
    """Decode a JSRT ``.IMG`` file and invert it.

    Returns
    -------
    Gray
        uint16 levels, shape (2048, 2048), white level 4095.

    Raises
    ------
    DataError
        If the size is not that of 2048 x 2048 16-bit values, or a value needs more than 12 bits.
    """
    imaging.check_file(path)
    expected = _RAW_SIDE * _RAW_SIDE * 2
    size = path.stat().st_size
    if size != expected:
        raise DataError(f"{path}: has {size} bytes instead of a JSRT image's {expected}; it is damaged")
    levels = np.fromfile(path, dtype=">u2").astype(np.uint16).reshape(_RAW_SIDE, _RAW_SIDE)
    if levels.max() > _RAW_WHITE:
        raise DataError(f"{path}: holds values above {_RAW_WHITE}; JSRT images use 12 bits, big-endian")
    return imaging.Gray(np.uint16(_RAW_WHITE) - levels, _RAW_WHITE)


def _images(folder: Path) -> list[Path]:
    return [path for path in files_in(folder, ".img", ".png") if _NAME.match(path.stem)]


def _structures(found: dict[str, Path]) -> dict[str, tuple[Path, ...]]:
    """Return the files of each structure whose masks are all there."""
    lungs = [name for name in _PARTS[LUNGS] if name in found]
    if len(lungs) == 1:
        raise DataError(f"{found[lungs[0]]}: the other lung's mask is missing")
    return {
        structure: tuple(found[name] for name in names)
        for structure, names in _PARTS.items()
        if found.keys() >= set(names)
    }


def _masks(root: Path) -> dict[str, dict[str, Path]]:
    """Return the masks as stem -> folder's name -> file."""
    beside = [
        path for path in subfolders(root.parent) if path.name.lower().startswith(("scr", "fold", "mask"))
    ]
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    level = [root, root.parent]
    for depth in range(_MASK_DEPTH):
        for folder in level:
            for name in _FOLDERS:
                masks = child(folder, name, name.replace(" ", "_"))
                for path in files_in(masks, ".gif", ".png") if masks else ():
                    known = found[path.stem.upper()].setdefault(name, path)
                    if known != path:
                        raise DataError(f"{path}: the same mask is also at {known}; remove one")
        below = [root, *beside] if depth == 0 else level
        inner = {path for folder in below for path in subfolders(folder)}
        level = sorted(inner | set(beside if depth == 0 else ()))
    return dict(found)
