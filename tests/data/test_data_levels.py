"""What is white, what is black, and files that decoders would read wrongly without a word."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmbench.data.catalogue import load_dataset
from mmbench.data.imaging import decode, white_of
from mmbench.errors import DataError
from mmbench.protocol.schema import DatasetChoice
from tests.data.data_layouts import picture, save
from tests.data.test_data_readers import write_dicom

RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


def load(tmp_path, tops, **choice):
    for number, top in enumerate(tops):
        save(tmp_path / f"{number}.png", (RAMP * top).astype(np.uint16 if top > 255 else np.uint8))
    rows = "".join(f"{number}.png,{number % 2}\n" for number in range(len(tops)))
    (tmp_path / "ours.csv").write_text(f"image,label\n{rows}")
    choice = DatasetChoice(dataset="manifest", path="ours.csv", **choice)
    return load_dataset(choice, image_size=32, seed=0, data_root=tmp_path)


def brightness(dataset):
    return np.asarray(dataset.images).mean(axis=(1, 2))


def test_two_films_of_one_detector_are_equally_bright(tmp_path):
    dataset = load(tmp_path, [4000, 4200, 8000])
    assert brightness(dataset) == pytest.approx([x * 255 / 8191 / 2 for x in (4000, 4200, 8000)], abs=1)
    (note,) = dataset.notes
    assert note == (
        "manifest: 3 of 3 images have 16 bits and do not say what is white; 8191 is white (white_level says "
        "otherwise)"
    )


def test_the_white_level_can_be_said_and_is_part_of_the_data(tmp_path):
    usual, said = load(tmp_path, [4000, 4200]), load(tmp_path, [4000, 4200], white_level=16383)
    assert brightness(said) == pytest.approx(brightness(usual) / 2, abs=1)
    assert usual.data_digest != said.data_digest
    with pytest.raises(
        DataError, match=r"1\.png: level 4200 is above the white level 4095; raise white_level"
    ):
        load(tmp_path, [4000, 4200], white_level=4095)


def test_eight_bit_files_beside_deep_ones_keep_their_own_white(tmp_path):
    assert brightness(load(tmp_path, [255, 16000])) == pytest.approx([127.5, 127.5 * 16000 / 16383], abs=1)


@pytest.mark.parametrize(("top", "white"), [(0, 255), (255, 255), (256, 511), (4095, 4095), (4096, 8191)])
def test_white_is_the_next_full_depth(top, white):
    assert white_of(top) == white


def tiff(path, levels, *, photometric=1, sample_format=1):
    """Write an uncompressed little-endian TIFF file with the tags as given (TIFF 6.0, section 2)."""
    data = levels.astype(levels.dtype.newbyteorder("<")).tobytes()
    height, width = levels.shape[:2]
    samples = levels.shape[2] if levels.ndim == 3 else 1
    bits = levels.itemsize * 8
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, photometric),
        (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, len(data)),
        (339, 3, 1, sample_format),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zero_is_white_at_every_depth(tmp_path, dtype):
    white = np.iinfo(dtype).max
    levels = (RAMP * white).astype(dtype)
    assert decode(tiff(tmp_path / "a.tif", levels)).settled().levels[0, 0] == 0
    turned = decode(tiff(tmp_path / "b.tif", levels, photometric=0)).settled()
    np.testing.assert_array_equal(turned.levels, white - levels)


def test_signed_bytes_are_refused(tmp_path):
    levels = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    with pytest.raises(DataError, match=r"a\.tif: holds signed 8-bit values"):
        decode(tiff(tmp_path / "a.tif", levels, sample_format=2))


def test_deep_colours_are_refused_and_not_cut_to_eight_bits(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (RAMP * 4095).astype(">u2")
    for colour_type, samples in ((2, 3), (4, 2), (6, 4)):
        raw = b"".join(b"\0" + np.repeat(row, samples).tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", 64, 64, 16, colour_type, 0, 0, 0)
        path = tmp_path / f"{samples}.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(raw))
            + chunk(b"IEND", b"")
        )
        with pytest.raises(DataError, match="16-bit colours"):
            decode(path)


@pytest.mark.parametrize("lost", [2, 100, 1000])
@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_jpeg_without_its_end_is_refused(tmp_path, lost, thumbnail):
    extra = {}
    if thumbnail:
        small = io.BytesIO()
        Image.fromarray(picture(2, 16)).save(small, format="JPEG")
        extra["comment"] = small.getvalue()  # an image within, with an end of its own
    Image.fromarray(picture(1, 256)).save(tmp_path / "a.jpg", quality=95, **extra)
    assert decode(tmp_path / "a.jpg").size == (256, 256)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:-lost])
    with pytest.raises(DataError, match=r"a\.jpg: is cut short"):
        decode(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(whole + b"\0" * 512)  # padded, but whole
    assert decode(tmp_path / "a.jpg").size == (256, 256)


def test_a_png_whose_checksum_does_not_hold_is_refused(tmp_path):
    path = save(tmp_path / "a.png", picture(1))
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 4
    length = struct.unpack(">I", content[place - 8 : place - 4])[0]
    content[place + length] ^= 0xFF  # the chunk's checksum
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        decode(path)


def test_an_image_that_is_transparent_throughout_is_refused(tmp_path):
    colours = np.dstack([picture(1)] * 3 + [np.zeros((48, 48), dtype=np.uint8)])
    with pytest.raises(DataError, match="is transparent throughout"):
        decode(save(tmp_path / "a.png", colours))


def change(path, **elements):
    pydicom = pytest.importorskip("pydicom")
    image = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(image, name, value)
    image.save_as(path)
    return path


def test_a_falling_slope_turns_dicom_levels(tmp_path):
    from mmbench.data.readers.rsna import decode_dicom

    levels = picture(1)
    path = change(write_dicom(tmp_path / "a.dcm", levels), RescaleSlope=-1, RescaleIntercept=255)
    np.testing.assert_array_equal(decode_dicom(path).levels, 255 - levels)
    both = change(
        write_dicom(tmp_path / "b.dcm", levels, photometric="MONOCHROME1"),
        RescaleSlope=-1,
        RescaleIntercept=0,
    )
    np.testing.assert_array_equal(decode_dicom(both).levels, levels)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "its values are PALETTE COLOR, not gray levels"),
        ({"HighBit": 11}, "its highest bit is 11, not 7"),
        ({"PresentationLUTShape": "INVERSE"}, "contradict each other"),
    ],
)
def test_dicom_that_is_not_plain_gray_is_refused(tmp_path, elements, message):
    from mmbench.data.readers.rsna import decode_dicom

    with pytest.raises(DataError, match=message):
        decode_dicom(change(write_dicom(tmp_path / "a.dcm", picture(1)), **elements))
