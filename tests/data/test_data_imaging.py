import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmbench.data import imaging
from mmbench.data.imaging import Gray, binarise, decode, mask_to_square, to_square
from mmbench.errors import DataError
from tests.data.data_layouts import disc, picture, save

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_gray_png_is_read_unchanged(tmp_path):
    gray = decode(save(tmp_path / "a.png", LEVELS))
    assert gray.white == 255
    np.testing.assert_array_equal(gray.levels, LEVELS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_gray_stored_as_colour_keeps_its_levels(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(LEVELS).convert(mode).save(path)
    np.testing.assert_array_equal(decode(path).levels, LEVELS)


def test_colour_becomes_luma(tmp_path):
    colour = np.zeros((2, 3, 3), dtype=np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    expected = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert (decode(save(tmp_path / "a.png", colour)).levels == expected).all()


def test_palette_is_looked_up_and_transparency_lies_over_black(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([0, 0, 0, 90, 90, 90, 255, 255, 255])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(decode(tmp_path / "palette.png").levels, [[0, 90, 255]])
    clear = np.full((1, 2, 4), 200, dtype=np.uint8)
    clear[0, :, 3] = (255, 0)
    np.testing.assert_array_equal(decode(save(tmp_path / "clear.png", clear)).levels, [[200, 0]])


def test_one_bit_becomes_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png").levels, [[255, 0]])


@pytest.mark.parametrize(("top", "white"), [(200, 255), (4000, 4095), (4095, 4095), (60000, 65535)])
def test_sixteen_bit_files_are_scaled_by_the_bits_they_use(tmp_path, top, white):
    levels = np.array([[0, top // 2, top]], dtype=np.uint16)
    gray = decode(save(tmp_path / "a.png", levels))
    assert gray.white == white
    np.testing.assert_array_equal(gray.levels, levels)


def test_big_endian_tiff_is_read(tmp_path):
    levels = np.array([[0, 1000, 4095]], dtype=np.uint16)
    data = levels.astype(">u2").tobytes()
    entries = [
        (256, 4, 1, 3), (257, 4, 1, 1), (258, 3, 1, 16 << 16), (259, 3, 1, 1 << 16), (262, 3, 1, 1 << 16),
        (273, 4, 1, 8), (277, 3, 1, 1 << 16), (278, 4, 1, 1), (279, 4, 1, len(data)),
    ]  # fmt: skip
    header = b"MM" + struct.pack(">HI", 42, 8 + len(data)) + data
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    (tmp_path / "a.tif").write_bytes(header + directory + struct.pack(">I", 0))
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").levels, levels)


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1)[:, :24]).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert decode(tmp_path / "a.jpg").size == (48, 24)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"hello, world", "is not a readable"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a readable"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        decode(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_an_error(tmp_path, suffix, share):
    path = save(tmp_path / f"a.{suffix}", np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=path.name):
        decode(path)


def test_missing_files_and_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        decode(tmp_path / "none.png")
    with pytest.raises(DataError, match="is not a file"):
        decode(tmp_path)


def test_a_decompression_bomb_is_refused_before_decoding(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"bomb\.png: 9000 x 9000 pixels are too many"):
        decode(path)


def test_an_oversized_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mmbench.data.imaging.opening.MAX_FILE_BYTES", 100)
    with pytest.raises(DataError, match="too large"):
        decode(save(tmp_path / "a.png", picture(1)))


def test_floating_point_is_refused(tmp_path):
    with pytest.raises(DataError, match="floating-point"):
        decode(save(tmp_path / "a.tif", np.ones((3, 3), dtype=np.float32)))


def test_shrinking_averages_areas_and_keeps_the_mean():
    levels = np.random.default_rng(0).integers(0, 4096, (96, 64)).astype(np.uint16)
    square = to_square(Gray(levels, 4095), 32)
    blocks = levels.reshape(32, 3, 32, 2).mean(axis=(1, 3)) * 255 / 4095
    assert square.dtype == np.uint8
    assert np.abs(square - blocks).max() <= 0.5 + 1e-3


def test_a_broken_ratio_is_averaged_exactly():
    levels = np.random.default_rng(0).integers(0, 256, (28, 36), dtype=np.uint8)
    fine = np.kron(levels.astype(float), np.ones((16, 16)))  # 448 x 576, whole multiples of 16 x 16
    expected = fine.reshape(16, 28, 16, 36).mean(axis=(1, 3))
    assert np.abs(to_square(Gray(levels, 255), 16) - expected).max() <= 0.5 + 1e-6
    mask = levels > 128
    area = np.kron(mask, np.ones((16, 16))).reshape(16, 28, 16, 36).mean(axis=(1, 3))
    np.testing.assert_array_equal(mask_to_square(mask, 16), area >= 0.5)


def test_levels_reach_black_and_white_and_the_same_size_is_untouched():
    np.testing.assert_array_equal(
        to_square(Gray(np.array([[0, 4095]] * 2, np.uint16), 4095), 2), [[0, 255]] * 2
    )
    np.testing.assert_array_equal(to_square(Gray(LEVELS, 255), 16), LEVELS)


def test_growing_interpolates():
    grown = to_square(Gray(np.array([[0, 200], [0, 200]], dtype=np.uint8), 255), 16)
    assert grown.shape == (16, 16)
    assert (np.diff(grown.astype(int), axis=1) >= 0).all()
    assert len(np.unique(grown)) > 4


@pytest.mark.parametrize("levels", [(0, 1), (0, 255), (100, 200), (150, 200)])
def test_two_levels_are_split_whatever_they_are(tmp_path, levels):
    shape = disc(32, (16, 16), 9) > 0
    mask = binarise(np.where(shape, levels[1], levels[0]).astype(np.uint8), tmp_path)
    np.testing.assert_array_equal(mask, shape)


def test_one_level_is_empty_or_full(tmp_path):
    assert not binarise(np.zeros((4, 4), np.uint8), tmp_path).any()
    assert binarise(np.full((4, 4), 255, np.uint8), tmp_path).all()


def test_soft_edges_are_cut_at_half_and_images_are_refused(tmp_path):
    shape = disc(128, (64, 64), 40)
    soft = np.asarray(Image.fromarray(shape).resize((64, 64), Image.Resampling.BOX))
    assert len(np.unique(soft)) > 2
    np.testing.assert_array_equal(binarise(soft, tmp_path), soft > 127.5)
    with pytest.raises(DataError, match=r"m\.png: is not a mask \(\d+ gray levels"):
        binarise(picture(3), tmp_path / "m.png")


def test_a_mask_pixel_is_kept_from_half_of_its_area():
    mask = np.zeros((4, 8), dtype=bool)
    mask[0, 0] = mask[0, 1] = mask[1, 0] = mask[1, 1] = True
    mask[2, 4] = True
    np.testing.assert_array_equal(mask_to_square(mask, 2), [[1, 0], [0, 0]])


def test_a_mask_must_have_the_proportions_of_its_image(tmp_path):
    imaging.check_aspect((2048, 2048), (1024, 1024), tmp_path)
    imaging.check_aspect((301, 200), (150, 100), tmp_path)
    with pytest.raises(DataError, match=r"m\.png: the mask is 100 x 120 but its image is 100 x 100"):
        imaging.check_aspect((100, 100), (100, 120), tmp_path / "m.png")
