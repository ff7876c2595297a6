"""What is white, what is black, and files that decoders would read wrongly without a word."""

import io
import struct
import zlib
from typing import Any

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
    chosen = DatasetChoice(dataset="manifest", path="ours.csv", **choice)
    return load_dataset(chosen, image_size=32, seed=0, data_root=tmp_path)


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
    extra: dict[str, Any] = {}
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
    with pytest.raises(DataError, match=r"a\.png: is damaged \(the checksum of IDAT does not hold\)"):
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


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_with_too_few_rows_is_refused(tmp_path, interlaced):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    levels = picture(1, 64)
    if interlaced:  # Adam7, PNG specification, 8.2
        passes = (
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        )
        parts = [levels[y::dy, x::dx] for x, y, dx, dy in passes]
    else:
        parts = [levels]
    rows = [b"\0" + row.tobytes() for part in parts for row in part]
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, int(interlaced))
    for lost in (0, 1, 30):
        data = zlib.compress(b"".join(rows[: len(rows) - lost]))
        chunks = chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        if lost:
            with pytest.raises(DataError, match="fewer rows than its 64 x 64 pixels"):
                decode(tmp_path / "a.png")
        else:
            np.testing.assert_array_equal(decode(tmp_path / "a.png").levels, levels)


def test_damage_beside_the_image_is_named_and_what_follows_a_jpeg_does_not_count(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "made by nobody")
    Image.fromarray(picture(1)).save(tmp_path / "a.png", pnginfo=info)
    content = bytearray((tmp_path / "a.png").read_bytes())
    place = content.index(b"tEXt") + 4
    content[place + struct.unpack(">I", content[place - 8 : place - 4])[0]] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="the checksum of tEXt does not hold"):
        decode(tmp_path / "a.png")
    Image.fromarray(picture(1)).save(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as stream:
        stream.write(b"\xff\xda" + b"\0" * 100_000)
    assert decode(tmp_path / "a.jpg").size == (48, 48)


def test_what_is_decided_of_an_image_is_counted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(picture(0)).save(tmp_path / "0.jpg", exif=exif)
    red = np.zeros((48, 48, 3), dtype=np.uint8)
    red[..., 0] = picture(1)
    save(tmp_path / "1.png", red)
    clear = np.dstack([picture(2)] * 3 + [np.where(picture(2) > 128, 255, 0).astype(np.uint8)])
    save(tmp_path / "2.png", clear)
    save(tmp_path / "3.png", picture(3))
    (tmp_path / "ours.csv").write_text("image,label\n0.jpg,0\n1.png,1\n2.png,0\n3.png,1\n")
    choice = DatasetChoice(dataset="manifest", path="ours.csv")
    notes = load_dataset(choice, image_size=16, seed=0, data_root=tmp_path).notes
    assert notes == [
        "manifest: 1 of 4 images are turned as their EXIF rotation says",
        "manifest: 1 of 4 images have colours, which are read as their brightness",
        "manifest: 1 of 4 images have transparent areas, which are read as black",
    ]


def test_big_tiff_files_share_the_white_level(tmp_path):
    from mmbench.data.imaging import may_be_deep

    for number, magic in enumerate((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        (tmp_path / f"{number}.tif").write_bytes(magic + b"\0" * 30)
        assert may_be_deep(tmp_path / f"{number}.tif")


def test_dicom_that_declares_more_bits_than_its_set_uses_is_not_dark(tmp_path):
    from mmbench.data.importing import import_dataset

    rows = []
    for number, top in enumerate((4000, 3000)):
        levels = (RAMP * top).astype(np.uint16)
        write_dicom(tmp_path / f"stage_2_train_images/p{number}.dcm", levels, bits=16)
        rows.append(f"p{number},{number}")
    (tmp_path / "stage_2_train_labels.csv").write_text("\n".join(["patientId,Target", *rows, "p9,1", ""]))
    report = import_dataset("rsna", tmp_path, image_sizes=(32,))
    assert any("4095 is white" in note for note in report.notes)
    assert "rsna: 1 patients of stage_2_train_labels.csv have no image file here" in report.notes
    dataset = load_dataset(DatasetChoice(dataset="rsna"), image_size=32, seed=0)
    assert brightness(dataset) == pytest.approx([127.5 * 4000 / 4095, 127.5 * 3000 / 4095], abs=1)


def test_dicom_values_above_the_declared_bits_do_not_wrap(tmp_path):
    from mmbench.data.readers.rsna import decode_dicom

    levels = (np.arange(256, dtype=np.uint16) * 512).reshape(16, 16) % 4096
    with pytest.raises(DataError, match="its values do not fit the 10 bits it declares"):
        decode_dicom(write_dicom(tmp_path / "a.dcm", levels, bits=10))
