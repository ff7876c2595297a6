"""From a mask file of any kind to its foreground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data.imaging.gray import COLOUR_NOISE, colour_spread, has_alpha, over_black
from mmbench.data.imaging.opening import opened, upright, white_is_zero
from mmbench.data.imaging.wholeness import PNG
from mmbench.errors import DataError

ASPECT_TOLERANCE = 0.02
_BRIGHT = 64
"""Level from which differences of a few levels between colours are noise."""
_CLEAR = 0.9
_NEAR_END = 0.1
_FLAT, _FLAT_NEAR_END = 0.001, 0.01
_FULL = 0.75
_LISTED = 6


def read_mask(path: Path) -> np.ndarray:
    """Return a mask file's foreground; see :func:`binarise`.

    A mask that is stored as transparency, or in two colours, is read as such.

    Returns
    -------
    ndarray
        bool, shape (H, W).

    Raises
    ------
    DataError
        If the file cannot be read, or holds more than two levels or colours.
    """
    with opened(path) as image:
        return binarise(_levels(upright(image), path, negative=white_is_zero(image)), path)


def read_values(path: Path) -> np.ndarray:
    """Return the values of a label map's pixels as they are stored.

    Returns
    -------
    ndarray
        uint8 or int32, shape (H, W); of a palette image the places in the palette.

    Raises
    ------
    DataError
        If the file cannot be read, or has colours instead of values.
    """
    with opened(path) as image:
        if image.mode not in ("L", "P", "1", "I") and not image.mode.startswith("I;16"):
            raise DataError(f"{path}: a label map has one value for each pixel, not colours ({image.mode})")
        values = np.asarray(upright(image))
        if image.mode == "L" and (step := _step(path)) > 1:
            values = values // np.uint8(step)
        return values.astype(np.uint8 if values.dtype in (np.bool_, np.uint8) else np.int32)


def binarise(levels: np.ndarray, path: Path) -> np.ndarray:
    """Return the foreground of a mask's levels.

    Two levels are split between them, whatever they are; one level is foreground unless it is 0. More are
    accepted as anti-aliased or lossily compressed edges, and cut half-way between the ends, if at least 90 %
    of the pixels lie within a quarter of the range from either end, and no third level covers areas: the
    pixels whose eight neighbours have the same level must be less than 0.1 % of all for any level in between,
    or 1 % within a tenth of the range from either end.

    Parameters
    ----------
    levels : ndarray
        Whole numbers, shape (H, W).
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray
        bool, shape (H, W).

    Raises
    ------
    DataError
        If the levels are not those of a mask of one structure, naming the file.
    """
    low, high = int(levels.min()), int(levels.max())
    if low == high:
        return levels > 0
    present = np.unique(levels)
    if len(present) == 2:
        return levels == high
    if third := _third_levels(levels, low, high):
        listed = ", ".join(map(str, sorted({low, high, *third})[:_LISTED]))
        raise DataError(
            f"{path}: holds {len(third) + 2} gray levels ({listed}) instead of two; store 0 and one other, "
            "or say by mask_values which are the structure"
        )
    margin = (high - low) / 4
    clear = (levels <= low + margin) | (levels >= high - margin)
    if clear.mean() < _CLEAR:
        raise DataError(f"{path}: is not a mask ({len(present)} gray levels, not two)")
    return levels > (low + high) / 2


def looks_inverted(mask: np.ndarray) -> bool:
    """Whether most of an image's border is foreground, as if inside and outside were exchanged."""
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return bool(border.mean() > 0.5)


def is_nearly_full(mask: np.ndarray) -> bool:
    """Whether the foreground is more of an image than the organs of a chest are."""
    return bool(mask.mean() > _FULL)


def check_aspect(image: tuple[int, int], mask: tuple[int, int], path: Path) -> None:
    """Refuse a mask whose sides are not in its image's proportion.

    Parameters
    ----------
    image, mask : tuple of int
        Width and height.
    path : Path
        The mask's file, for the message.

    Raises
    ------
    DataError
        If the proportions differ by more than 2 %.
    """
    ratio = (mask[0] / mask[1]) / (image[0] / image[1])
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{path}: the mask is {mask[0]} x {mask[1]} but its image is {image[0]} x {image[1]}; "
            "the proportions must agree"
        )


def _step(path: Path) -> int:
    """Return what Pillow multiplies the values of a gray PNG file of 2 or 4 bits by; 1 for other files."""
    with path.open("rb") as stream:
        head = stream.read(26)
    shallow = head.startswith(PNG) and len(head) == 26 and head[24] in (2, 4) and head[25] == 0
    return 255 // (2 ** head[24] - 1) if shallow else 1


def _levels(image: Image.Image, path: Path, *, negative: bool) -> np.ndarray:
    """Return one whole number for each pixel of a mask, shape (H, W)."""
    if image.mode == "F":
        raise DataError(f"{path}: holds floating-point values; store 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        return values.max() - values if negative else values
    if has_alpha(image):
        rgba = np.asarray(image.convert("RGBA"))
        colours = np.asarray(over_black(image, path))
        # Drawn in one colour, the mask is what is opaque.
        if len(np.unique(rgba[..., 3])) > 1 and not np.ptp(colours.reshape(-1, 3), axis=0).any():
            return rgba[..., 3]
    else:
        colours = np.asarray(over_black(image, path))
    if colours.ndim == 2:
        return colours.astype(np.uint8) * (255 if colours.dtype == np.bool_ else 1)
    if colour_spread(colours) <= (COLOUR_NOISE if colours.max() >= _BRIGHT else 0):
        return np.asarray(Image.fromarray(colours).convert("L"))
    return _two_colours(colours, path)


def _two_colours(colours: np.ndarray, path: Path) -> np.ndarray:
    """Return 1 where the brighter of two colours is, shape (H, W)."""
    flat = colours.reshape(-1, 3).astype(np.int64) @ (65536, 256, 1)
    present, places = np.unique(flat, return_inverse=True)
    if len(present) != 2:
        raise DataError(
            f"{path}: holds {len(present)} colours instead of two; store a mask of 0 and one other level"
        )
    brightness = [colours.reshape(-1, 3)[places == place][0].sum() for place in (0, 1)]
    return (places == int(np.argmax(brightness))).reshape(colours.shape[:2]).astype(np.uint8)


def _third_levels(levels: np.ndarray, low: int, high: int) -> list[int]:
    """Return the levels between the ends that cover areas and not edges alone."""
    centre = levels[1:-1, 1:-1]
    flat = np.ones(centre.shape, dtype=bool)
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            rows, columns = down + centre.shape[0], right + centre.shape[1]
            flat &= levels[down:rows, right:columns] == centre
    values, counts = np.unique(centre[flat], return_counts=True)
    found = []
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        from_end = min(value - low, high - value) / (high - low)
        share = _FLAT_NEAR_END if from_end < _NEAR_END else _FLAT
        if low < value < high and count >= share * levels.size:
            found.append(int(value))
    return found
