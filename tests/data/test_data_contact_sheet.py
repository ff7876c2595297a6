import numpy as np
import pytest
from PIL import Image

from mmbench.data import contact_sheet
from mmbench.errors import DataError
from tests.data.data_layouts import disc, make_dataset


def test_a_sheet_shows_images_and_outlines(tmp_path):
    masks = np.stack([disc(32, (16, 16), 9) // 255] * 20)
    parts = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    dataset = make_dataset(parts=parts, size=32, masks=True)
    dataset.masks[:] = masks
    path = contact_sheet.write(dataset, tmp_path / "deep/sheet.png", count=6, columns=3, tile=96)
    with Image.open(path) as sheet:
        levels = np.asarray(sheet)
        assert sheet.width == 3 * 96 + 4 * 6
    outline = (levels == (255, 176, 0)).all(axis=-1)
    assert outline.sum() > 6 * 96
    again = contact_sheet.write(dataset, tmp_path / "again.png", count=6, columns=3, tile=96)
    assert again.read_bytes() == path.read_bytes()
    other = contact_sheet.write(dataset, tmp_path / "other.png", count=6, columns=3, tile=96, seed=1)
    assert other.read_bytes() != path.read_bytes()


def test_the_sample_covers_every_part_and_class(monkeypatch, tmp_path):
    parts = ["train"] * 16 + ["validation"] * 2 + ["test"] * 2
    dataset = make_dataset(parts=parts, size=16)
    rows = contact_sheet.sample_rows(dataset, 6, 0)
    chosen = dataset.cases.iloc[rows]
    assert len(set(zip(chosen["part"], chosen["label"], strict=True))) == 6
    assert list(chosen["part"]) == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2


def test_unlabelled_cases_and_few_cases_are_fine(tmp_path):
    dataset = make_dataset([None, None, None])
    assert contact_sheet.write(dataset, tmp_path / "a.png").exists()


def test_faults_are_named(tmp_path):
    with pytest.raises(DataError, match=r"end its name in \.png"):
        contact_sheet.write(make_dataset(), tmp_path / "a.jpg")
    with pytest.raises(DataError, match="has no cases"):
        contact_sheet.write(make_dataset([], images=np.zeros((0, 8, 8), np.uint8)), tmp_path / "a.png")
