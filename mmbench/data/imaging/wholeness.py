"""Whether an image file is whole: what decoders read past without a word.

A JPEG file whose middle was overwritten cannot be told from a sound one this way.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from mmbench.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_SCAN, _END = 0xDA, b"\xff\xd9"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by PNG colour type (PNG specification, 11.2.2)."""
_GRAY = 0
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column and row, and the steps of both (PNG specification, 8.2)."""
_BLOCK = 1024**2


def check_whole(path: Path, most_pixels: int) -> None:
    """Refuse a JPEG file without its end, and a PNG file with a bad checksum or too few rows.

    Parameters
    ----------
    path : Path
        A file of any format; others are not looked at.
    most_pixels : int
        Rows of larger images are not counted: they are refused unread.

    Raises
    ------
    DataError
        Naming the file.
    """
    with path.open("rb") as stream:
        head = stream.read(len(PNG))
    if head.startswith(_JPEG):
        _check_jpeg(path.read_bytes(), path)
    elif head == PNG:
        _check_png(path.read_bytes(), path, most_pixels)


def _check_jpeg(content: bytes, path: Path) -> None:
    """Look for the end of the image after its first scan begins; a thumbnail before that has an own end."""
    place = len(_JPEG)
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != _SCAN:
        # Markers may be padded with more 0xFF; those without a length carry none here.
        place += (
            1 if content[place + 1] == 0xFF else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        )
    if content.find(_END, place) < 0:
        raise DataError(f"{path}: is cut short (no end of the JPEG image); get it again")


def _check_png(content: bytes, path: Path, most_pixels: int) -> None:
    header, ended = b"", False
    packed = []
    for kind, data, sound in _chunks(content):
        if not sound:
            shown = kind.decode("ascii", "replace")
            raise DataError(f"{path}: is damaged (the checksum of {shown} does not hold); get it again")
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            packed.append(data)
        ended = ended or kind == b"IEND"
    if not ended or len(header) != 13:
        raise DataError(f"{path}: is cut short (no end of the PNG image); get it again")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth == 16 and colour != _GRAY:
        raise DataError(f"{path}: holds 16-bit colours or transparency; store it as 16-bit gray levels")
    bits = depth * _SAMPLES.get(colour, 1)
    if interlaced:
        passes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    else:
        passes = [(width, height)]
    expected = sum(
        rows * (1 + -(-columns * bits // 8)) for columns, rows in passes if columns > 0 and rows > 0
    )
    if width * height <= most_pixels and _unpacked(packed, expected) < expected:
        raise DataError(f"{path}: is damaged (fewer rows than its {width} x {height} pixels); get it again")


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the kind and data of each whole chunk, and whether its checksum holds."""
    place = len(PNG)
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        checksum = content[place + 8 + length : place + 12 + length]
        if len(checksum) < 4:
            return
        yield kind, data, zlib.crc32(kind + data) == int.from_bytes(checksum, "big")
        place += 12 + length


def _unpacked(packed: list[bytes], enough: int) -> int:
    """Return how many bytes packed data hold, counting no further than enough."""
    unpacker, count = zlib.decompressobj(), 0
    for part in packed:
        while part and count < enough:
            count += len(unpacker.decompress(part, _BLOCK))
            part = unpacker.unconsumed_tail
    return count + len(unpacker.flush()) if count < enough else count
