"""Opening image files: every reader of images and masks comes through here.

What Pillow would read without a word but not as it was stored is refused: damaged files, several images,
sample formats that it wraps or cuts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmbench.data.imaging.wholeness import PNG, check_whole
from mmbench.errors import DataError

FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP")
MAX_FILE_BYTES = 512 * 1024**2
MAX_PIXELS = 64_000_000
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
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""TIFF tags (TIFF 6.0, sections 3, 8 and 19)."""
_WHITE_IS_ZERO = 0
_SIGNED = 2


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


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a PNG, JPEG, GIF, TIFF or BMP file, decoded; :func:`upright` turns it as EXIF says.

    Errors of decoding within the block are those of the file.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged, too large, several images or none, or has samples that would
        be wrapped or cut.
    """
    check_file(path)
    try:
        check_whole(path, MAX_PIXELS)
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{path}: {width} x {height} pixels are too many for a radiograph "
                    f"(limit {MAX_PIXELS // 10**6} megapixels)"
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise DataError(f"{path}: holds {frames} images; store the one that is meant")
            _check_samples(image, path)
            image.load()
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path}: has too many pixels for a radiograph (limit {MAX_PIXELS // 10**6} megapixels)"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a readable {', '.join(FORMATS)} file") from None
    except _DECODER_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be decoded ({reason})") from None


def may_be_deep(path: Path) -> bool:
    """Whether a file may hold 16-bit levels, by its first bytes; False if it cannot be read."""
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
    except OSError:
        return False
    if head.startswith(PNG):
        return len(head) > 24 and head[24] == 16
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF file's larger levels are darker; Pillow turns those of up to 8 bits only."""
    return _tag(image, _PHOTOMETRIC, -1) == _WHITE_IS_ZERO and _tag(image, _BITS, 1) > 8


def _check_samples(image: Image.Image, path: Path) -> None:
    """Refuse TIFF samples that Pillow cuts to 8 bits or takes for unsigned."""
    bits = _tag(image, _BITS, 1)
    if bits > 8 and image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        raise DataError(f"{path}: holds {bits}-bit colours; store it as 16-bit gray levels")
    if _tag(image, _SAMPLE_FORMAT, 1) == _SIGNED and bits <= 8:
        raise DataError(f"{path}: holds signed 8-bit values; store unsigned ones")


def _tag(image: Image.Image, tag: int, default: int) -> int:
    """Return the value of a TIFF tag, the first of several; the default for other formats."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    value = default if tags is None else tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def is_turned(image: Image.Image) -> bool:
    """Whether EXIF says that an image is to be turned or mirrored; no longer after it was."""
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF rotation says."""
    if not is_turned(image):
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)
