"""From an image file to gray levels, and what level is white."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data.imaging.opening import is_turned, opened, upright, white_is_zero
from mmbench.errors import DataError

MIN_SIDE = 16
COLOUR_NOISE = 8
"""Differences of red, green and blue that a compressed gray image may have."""
TURNED = "images are turned as their EXIF rotation says"
COLOURED = "images have colours, which are read as their brightness"
CLEAR = "images have transparent areas, which are read as black"
DEPTHS = range(8, 17)
"""Bits that radiographs' levels may use."""


@dataclass(frozen=True)
class Gray:
    """Gray levels as stored, brighter meaning denser.

    Attributes
    ----------
    levels : ndarray
        uint8 or uint16, shape (H, W).
    white : int
        The level that full white has: 255 to 65535.
    guessed : bool
        Whether the file does not say what is white, as no 16-bit PNG or TIFF file does. ``white`` is then
        the smallest of 255, 511, ... 65535 that holds the file's maximum, until :meth:`settled` is given the
        level that the whole data set has.
    negative : bool
        Whether larger levels are darker; ``levels`` are inverted by :meth:`settled`.
    facts : tuple of str
        What was decided of the file, each the end of "3 of 10 ..."; counted and told.
    """

    levels: np.ndarray
    white: int
    guessed: bool = False
    negative: bool = False
    facts: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.levels.shape[1], self.levels.shape[0]

    def settled(self, white: int | None = None) -> Gray:
        """Return the levels with the white level that a data set has, larger ones being brighter.

        Parameters
        ----------
        white : int, optional
            For a file that does not say; its own guess when left out.

        Raises
        ------
        ValueError
            If the file has levels above that.
        """
        level = white if self.guessed and white is not None else self.white
        top = int(self.levels.max(initial=0))
        if top > level:
            raise ValueError(f"level {top} is above the white level {level}")
        levels = self.levels.dtype.type(level) - self.levels if self.negative else self.levels
        levels = levels.astype(np.uint8 if level == 255 else np.uint16)
        return replace(self, levels=levels, white=level, negative=False)


def decode(path: Path) -> Gray:
    """Decode a PNG, JPEG, GIF, TIFF or BMP file to gray levels.

    Colour becomes luma (ITU-R 601), which leaves a gray image stored as colour unchanged; transparency is
    laid over black; an EXIF rotation is applied.

    Raises
    ------
    DataError
        If the file cannot be read (see :func:`~mmbench.data.imaging.opening.opened`), has floating-point
        values, or is transparent throughout.
    """
    with opened(path) as image:
        if image.mode == "F":
            raise DataError(f"{path}: holds floating-point values; store 8 or 16 bits")
        turned = (TURNED,) if is_turned(image) else ()
        if image.mode == "I" or image.mode.startswith("I;16"):
            return _deep(np.asarray(upright(image)), path, negative=white_is_zero(image), facts=turned)
        shown = over_black(upright(image), path)
        facts = [*turned, *(told for told, holds in _seen(image, shown) if holds)]
        return Gray(np.array(shown.convert("L")), 255, facts=tuple(facts))


def _seen(image: Image.Image, shown: Image.Image) -> list[tuple[str, bool]]:
    """Return what can be told of an image's colours and transparency, and whether it holds."""
    clear = has_alpha(image) and image.convert("RGBA").getchannel("A").getextrema()[0] == 0
    return [(COLOURED, colour_spread(np.asarray(shown)) > COLOUR_NOISE), (CLEAR, clear)]


def colour_spread(levels: np.ndarray) -> int:
    """Return the largest difference of red, green and blue in a pixel; 0 of gray levels."""
    if levels.ndim == 2:
        return 0
    return int(np.ptp(levels.astype(np.int16), axis=2).max(initial=0))


def white_of(top: int) -> int:
    """Return the smallest of 255, 511, ... 65535 that holds a level."""
    return next(2**depth - 1 for depth in DEPTHS if top < 2**depth)


def over_black(image: Image.Image, path: Path) -> Image.Image:
    """Return an 8-bit image in gray or colour, what is transparent being laid over black.

    Raises
    ------
    DataError
        If it is transparent throughout.
    """
    if has_alpha(image):
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() == (0, 0):
            raise DataError(f"{path}: is transparent throughout; store it without transparency")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    if image.mode == "P":
        return image.convert("RGB")
    return image if image.mode in ("L", "1", "RGB") else image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether an image has transparency of any kind."""
    return image.mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info


def check_size(gray: Gray, path: Path) -> None:
    """Refuse an image that is too small to be a radiograph.

    Raises
    ------
    DataError
        Naming the file.
    """
    width, height = gray.size
    if min(width, height) < MIN_SIDE:
        raise DataError(
            f"{path}: {width} x {height} pixels are too few for a radiograph (at least {MIN_SIDE} each way)"
        )


def _deep(values: np.ndarray, path: Path, *, negative: bool, facts: tuple[str, ...]) -> Gray:
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path}: holds values outside 16 bits")
    white = white_of(int(values.max()))
    levels = values.astype(np.uint8 if white == 255 else np.uint16)
    return Gray(levels, white, guessed=True, negative=negative, facts=facts)
