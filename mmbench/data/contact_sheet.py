"""A contact sheet: a sample of a dataset's images with the outlines of their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmbench.data.dataset import Dataset
from mmbench.errors import DataError
from mmbench.randomness import generator

_OUTLINES = ((255, 176, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""Of the structures in their order."""
_MARGIN = 6
_CAPTION_LINE = 12


def write(
    dataset: Dataset, path: Path, *, count: int = 24, columns: int = 6, tile: int = 160, seed: int = 0
) -> Path:
    """Write a PNG contact sheet.

    The cases are a seeded sample, spread evenly over parts and classes in the order train, validation,
    test. Under each image stand its case id, part and class.

    Parameters
    ----------
    dataset : Dataset
        What to show.
    path : Path
        The file to write; its folder is made if needed.
    count, columns : int
        Number of images, and of images in a row.
    tile : int
        Side of each image on the sheet, in pixels.
    seed : int
        Chooses the sample.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    DataError
        If the dataset is empty or ``path`` does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: a contact sheet is a PNG file; end its name in .png")
    rows = sample_rows(dataset, count, seed)
    if len(rows) == 0:
        raise DataError(f"{dataset.name}: has no cases to show")
    columns = min(columns, len(rows))
    lines = -(-len(rows) // columns)
    step, line = tile + _MARGIN, tile + 2 * _CAPTION_LINE + _MARGIN
    sheet = Image.new("RGB", (columns * step + _MARGIN, lines * line + _MARGIN), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for place, row in enumerate(rows):
        left, top = _MARGIN + place % columns * step, _MARGIN + place // columns * line
        sheet.paste(_tile(dataset, int(row), tile), (left, top))
        for number, text in enumerate(_caption(dataset, int(row))):
            height = top + tile + number * _CAPTION_LINE
            pen.text((left, height), _fit(pen, text, tile), fill=(220, 220, 220))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")
    return path


def sample_rows(dataset: Dataset, count: int, seed: int) -> np.ndarray:
    """Return up to ``count`` rows to show, from every part and class in turn, sorted by part and class."""
    cases = dataset.cases
    order = generator(seed, "contact sheet", dataset.roster_digest).permutation(len(cases))
    keys = cases["part"].astype(str) + "|" + cases["label"].astype(str)
    # Taking the n-th case of every stratum before any (n + 1)-th spreads the sample evenly.
    turn = keys.iloc[order].groupby(keys.iloc[order]).cumcount().to_numpy()
    chosen = order[np.argsort(turn, kind="stable")][:count]
    rank = {"train": 0, "validation": 1, "test": 2}
    return np.array(
        sorted(chosen, key=lambda row: (rank[cases["part"].iloc[row]], keys.iloc[row], row)), dtype=np.int64
    )


def _tile(dataset: Dataset, row: int, tile: int) -> Image.Image:
    image = Image.fromarray(np.array(dataset.images[row])).resize((tile, tile), Image.Resampling.BILINEAR)
    colour = np.array(image.convert("RGB"))
    if dataset.masks is not None and bool(dataset.cases["has_mask"].iloc[row]):
        for number, plane in enumerate(dataset.masks[row]):
            mask = Image.fromarray(np.array(plane) * np.uint8(255))
            filled = np.asarray(mask.resize((tile, tile), Image.Resampling.BILINEAR)) >= 128
            colour[_border(filled)] = _OUTLINES[number % len(_OUTLINES)]
    return Image.fromarray(colour)


def _border(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border: np.ndarray = mask & ~inner
    return border


def _caption(dataset: Dataset, row: int) -> tuple[str, str]:
    case = dataset.cases.iloc[row]
    label = dataset.cases["label"].fillna(-1).iloc[row]
    name = f" {dataset.classes[int(label)]}" if label >= 0 else ""
    return str(case["case_id"]), f"{case['part']}{name}"


def _fit(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    while text and pen.textlength(text) > width:
        text = text[:-1]
    return text
