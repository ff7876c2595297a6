"""Masks as people store them: what is one structure, what is several, and what is told of odd ones."""

import numpy as np
import pytest
from PIL import Image

from mmbench.data.catalogue import load_dataset
from mmbench.data.imaging import read_mask
from mmbench.errors import DataError
from mmbench.protocol.schema import DatasetChoice
from tests.data.data_layouts import make_shenzhen, save

RIGHT, LEFT = np.s_[12:51, 8:27], np.s_[12:51, 37:56]


def lungs(background, right, left, side=64):
    mask = np.full((side, side), background, dtype=np.uint8)
    mask[RIGHT], mask[LEFT] = right, left
    return mask


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("right", "left"), [(1, 2), (1, 3), (127, 255), (128, 255), (1, 255), (254, 255)])
def test_a_level_for_each_lung_is_never_half_a_mask(tmp_path, right, left):
    path = save(tmp_path / "m.png", lungs(0, right, left))
    with pytest.raises(DataError, match=rf"m\.png: holds 3 gray levels \(0, {right}, {left}\).*mask_values"):
        read_mask(path)


def test_small_lungs_are_refused_as_large_ones_are(tmp_path):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[12:51, 8:16], mask[12:51, 48:56] = 1, 2
    with pytest.raises(DataError, match="holds 3 gray levels"):
        read_mask(save(tmp_path / "m.png", mask))


def test_a_palette_of_three_colours_is_refused(tmp_path):
    image = Image.fromarray(lungs(0, 1, 2), "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # as PASCAL VOC has it
    image.save(tmp_path / "m.png")
    with pytest.raises(DataError, match="holds 3 colours instead of two"):
        read_mask(tmp_path / "m.png")


def test_two_colours_are_a_mask(tmp_path):
    mask = np.zeros((64, 64, 3), dtype=np.uint8)
    mask[RIGHT] = mask[LEFT] = (0, 0, 255)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", mask)), lungs(0, 1, 1) > 0)


def test_a_mask_drawn_in_transparency_is_read(tmp_path):
    mask = np.zeros((64, 64, 4), dtype=np.uint8)
    mask[..., 3] = lungs(0, 255, 255)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", mask)), lungs(0, 1, 1) > 0)
    mask[..., :3] = 255  # white on transparent
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", mask)), lungs(0, 1, 1) > 0)
    mask[..., 3] = 0
    with pytest.raises(DataError, match="is transparent throughout"):
        read_mask(save(tmp_path / "m.png", mask))


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_compressed_mask_of_two_levels_is_read(tmp_path, quality):
    mask = np.kron(lungs(0, 255, 255), np.ones((4, 4), dtype=np.uint8))
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=quality)
    found = read_mask(tmp_path / "m.jpg")
    assert (found == (mask > 0)).mean() > 0.998


def test_odd_masks_are_counted(tmp_path):
    make_shenzhen(tmp_path / "shenzhen", count=6, masks=6)
    folder = tmp_path / "shenzhen/mask"
    good = np.asarray(Image.open(folder / "CHNCXR_0000_0_mask.png"))
    for number, mask in enumerate([good * 0, good * 0 + 255, 255 - good]):
        save(folder / f"CHNCXR_{number:04d}_{number % 2}_mask.png", mask)
    notes = load_dataset(DatasetChoice(dataset="shenzhen"), image_size=16, seed=0, data_root=tmp_path).notes
    assert "shenzhen: 1 of 6 images have an empty mask" in notes
    assert sum("more than three quarters" in note for note in notes) == 1
    assert sum("2 of 6" in note for note in notes) == 1, "all white and inverted both cover most of the image"


def test_masks_without_any_foreground_are_refused(tmp_path):
    make_shenzhen(tmp_path / "shenzhen")
    for path in (tmp_path / "shenzhen/mask").iterdir():
        save(path, np.zeros((48, 48), dtype=np.uint8))
    with pytest.raises(DataError, match="none of the 3 masks has a foreground"):
        load_dataset(DatasetChoice(dataset="shenzhen"), image_size=16, seed=0, data_root=tmp_path)


@pytest.mark.parametrize("channels", [(1, 0, 0), (0, 0, 1), (1, 1, 0)])
def test_small_levels_in_colours_are_not_taken_for_noise(tmp_path, channels):
    right, left = lungs(0, 1, 0), lungs(0, 0, 1)
    both = np.stack([(right | left) * channel for channel in channels], axis=2).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", both)), (right | left) > 0)
    apart = both.copy()
    apart[..., 1] |= left
    apart[..., 0] |= right
    if len({tuple(pixel) for pixel in apart.reshape(-1, 3)}) > 2:
        with pytest.raises(DataError, match="holds 3 colours instead of two"):
            read_mask(save(tmp_path / "m.png", apart))


def test_a_soft_mask_on_a_gray_ground_is_cut_half_way(tmp_path):
    soft = np.asarray(
        Image.fromarray(np.kron(lungs(130, 255, 255), np.ones((4, 4), np.uint8))).resize((64, 64), 4)
    )
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", soft)), soft > 192)


def test_the_same_lung_twice_is_refused_and_an_empty_one_is_told(tmp_path):
    from tests.data.data_layouts import make_montgomery

    make_montgomery(tmp_path / "montgomery", 6)
    left, right = (tmp_path / "montgomery/ManualMask" / side for side in ("leftMask", "rightMask"))
    stem = "MCUCXR_0001_1.png"
    good = (right / stem).read_bytes()
    (right / stem).write_bytes((left / stem).read_bytes())
    choice = DatasetChoice(dataset="montgomery")
    with pytest.raises(
        DataError, match=r"rightMask/MCUCXR_0001_1\.png: shows for the most part what .*leftMask"
    ):
        load_dataset(choice, image_size=16, seed=0, data_root=tmp_path)
    (right / stem).write_bytes(good)
    save(left / stem, np.zeros((48, 48), dtype=np.uint8))
    notes = load_dataset(choice, image_size=16, seed=0, data_root=tmp_path).notes
    assert notes == ["montgomery: 1 of 6 images have an empty mask of one lung"]


@pytest.mark.parametrize("bits", [2, 4])
def test_values_of_shallow_files_are_read_as_they_are_stored(tmp_path, bits):
    from mmbench.data.imaging import read_values

    values = np.arange(16, dtype=np.uint8).reshape(4, 4) % 2**bits
    Image.fromarray(values).save(tmp_path / "plain.png")
    image = Image.fromarray(values, "P")
    image.putpalette([level for level in range(16) for _ in range(3)])
    image.save(tmp_path / "palette.png", bits=bits)
    shallow = packed_png(values, bits)
    (tmp_path / "shallow.png").write_bytes(shallow)
    for name in ("plain", "palette", "shallow"):
        np.testing.assert_array_equal(read_values(tmp_path / f"{name}.png"), values)


def packed_png(values, bits):
    """Return a gray PNG file of 2 or 4 bits (PNG specification, 7.2)."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
