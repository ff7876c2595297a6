"""From an image file of any kind to gray levels, and from gray levels to a square uint8 array.

Nothing here knows a dataset: readers hand over paths, and every failure is a
:class:`~mmbench.errors.DataError` that names the file.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmbench.errors import DataError

FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP")
MAX_FILE_BYTES = 512 * 1024**2
MAX_PIXELS = 64_000_000
MIN_SIDE = 16
ASPECT_TOLERANCE = 0.02
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Gray:
    """Gray levels as stored, brighter meaning denser.

    Attributes
    ----------
    levels : ndarray
        uint8 or uint16, shape (H, W).
    white : int
        The level that full white has: 255, 4095 or 65535.
    """

    levels: np.ndarray
    white: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.levels.shape[1], self.levels.shape[0]


def check_file(path: Path) -> None:
    """Refuse a file that is missing, empty or too large to be a radiograph.

    Raises
    ------
    DataError
        Naming the file.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not path.is_file():
        raise DataError(f"{path}: is not a file")
    if size == 0:
        raise DataError(f"{path}: the file is empty")
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{path}: {size / 1024**2:.0f} MiB is too large for an image "
            f"(limit {MAX_FILE_BYTES // 1024**2} MiB)"
        )


def decode(path: Path) -> Gray:
    """Decode a PNG, JPEG, GIF, TIFF or BMP file to gray levels.

    Colour becomes luma (ITU-R 601), which leaves a gray image stored as colour unchanged; transparency is
    laid over black; an EXIF rotation is applied. Of a 16-bit file the white level is the smallest of 255,
    4095 and 65535 that holds its maximum, since 12-bit radiographs are commonly stored in 16 bits.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated, too large, floating-point, several images or
        none.
    """
    check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{path}: {width} x {height} pixels are too many for a radiograph "
                    f"(limit {MAX_PIXELS // 10**6} megapixels)"
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise DataError(f"{path}: holds {frames} images; store the one that is meant")
            image.load()
            return _to_gray(image, path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path}: has too many pixels for a radiograph (limit {MAX_PIXELS // 10**6} megapixels)"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a readable {', '.join(FORMATS)} file") from None
    except _DECODER_ERRORS as error:
        raise DataError(f"{path}: cannot be decoded ({_one_line(error)})") from None


def from_uint16(levels: np.ndarray) -> Gray:
    """Return 16-bit levels with the white level that they appear to use.

    Parameters
    ----------
    levels : ndarray
        uint16, shape (H, W).
    """
    top = int(levels.max(initial=0))
    white = next(white for white in (255, 4095, 65535) if top <= white)
    return Gray(levels.astype(np.uint8) if white == 255 else levels, white)


def to_square(gray: Gray, size: int) -> np.ndarray:
    """Return the image squashed to a square by area averaging, scaled so that white is 255.

    The aspect ratio is not kept, as in the publications. A side that has to grow is interpolated linearly.

    Parameters
    ----------
    gray : Gray
        The decoded image.
    size : int
        Side of the square in pixels.

    Returns
    -------
    ndarray
        uint8, shape (size, size).
    """
    levels = _resample(gray.levels, size) * (255 / gray.white)
    # Rounding first to 6 decimals makes ties fall alike whatever the order of summation.
    return np.clip(np.rint(np.round(levels, 6)), 0, 255).astype(np.uint8)


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


def binarise(gray: Gray, path: Path) -> np.ndarray:
    """Return a mask file's foreground.

    A file of two levels is split between them, whatever they are; one level is foreground unless it is 0.
    More levels are accepted as anti-aliased or lossily compressed edges, and cut at half of the maximum,
    if at least 90 % of the pixels lie within a quarter of the range from either end.

    Returns
    -------
    ndarray
        bool, shape (H, W).

    Raises
    ------
    DataError
        If the gray levels are not those of a mask, naming the file.
    """
    levels = gray.levels
    low, high = int(levels.min()), int(levels.max())
    if low == high:
        return levels > 0
    middle = (low + high) / 2
    margin = (high - low) / 4
    clear = (levels <= low + margin) | (levels >= high - margin)
    if clear.mean() < 0.9:
        raise DataError(f"{path}: is not a mask ({len(np.unique(levels))} gray levels, not two)")
    two_levels = bool(((levels == low) | (levels == high)).all())
    return levels > (middle if two_levels else high / 2)


def decode_values(path: Path) -> np.ndarray:
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
    check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode not in ("L", "P", "1", "I") and not image.mode.startswith("I;16"):
                raise DataError(
                    f"{path}: a label map has one value for each pixel, not colours ({image.mode})"
                )
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels")
            image.load()
            values = np.asarray(image)
            return values.astype(np.uint8 if values.dtype in (np.bool_, np.uint8) else np.int32)
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a readable {', '.join(FORMATS)} file") from None
    except _DECODER_ERRORS as error:
        raise DataError(f"{path}: cannot be decoded ({_one_line(error)})") from None


def mask_to_square(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a mask squashed to a square: a pixel is foreground if at least half of its area is.

    Parameters
    ----------
    mask : ndarray
        bool, shape (H, W).
    size : int
        Side of the square in pixels.

    Returns
    -------
    ndarray
        uint8 in {0, 1}, shape (size, size).
    """
    # The average is exact but for rounding, so that a tie needs a small tolerance.
    return (_resample(mask, size) >= 0.5 - 1e-6).astype(np.uint8)


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


def _resample(levels: np.ndarray, size: int) -> np.ndarray:
    height, width = levels.shape
    levels = levels.astype(np.float64)
    if height > size:
        levels = _area_weights(height, size) @ levels
    if width > size:
        levels = (_area_weights(width, size) @ levels.T).T
    if levels.shape != (size, size):
        image = Image.fromarray(levels.astype(np.float32))
        levels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64)
    return levels


@lru_cache(maxsize=64)
def _area_weights(length: int, size: int) -> Any:
    """Return the sparse matrix that averages ``length`` pixels over ``size`` equal stretches.

    Fractions of pixels count as such; Pillow's box filter takes every pixel whole or not at all, which
    shifts edges when the ratio of the sizes is no whole number.
    """
    from scipy.sparse import csr_array

    edges = np.arange(size + 1) * (length / size)
    pixels = np.arange(length)
    rows, columns, shares = [], [], []
    for row in range(size):
        low, high = edges[row], edges[row + 1]
        inside = pixels[int(low) : min(length, int(np.ceil(high)))]
        share = np.minimum(inside + 1, high) - np.maximum(inside, low)
        rows.append(np.full(len(inside), row))
        columns.append(inside)
        shares.append(share * (size / length))
    values = np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(values, shape=(size, length))


def _to_gray(image: Image.Image, path: Path) -> Gray:
    if image.getexif().get(0x0112, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError(f"{path}: holds floating-point values; store 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{path}: holds values outside 16 bits")
        return from_uint16(values.astype(np.uint16))
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    elif image.mode not in ("L", "1", "RGB"):
        image = image.convert("RGB")
    return Gray(np.array(image.convert("L")), 255)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
