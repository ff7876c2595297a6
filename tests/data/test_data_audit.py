"""The audit finds each planted oddity, and nothing in a set without any."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from mmbench.data.audit import audit
from mmbench.data.catalogue import files_of, load_dataset
from mmbench.data.phantom import generate
from mmbench.protocol.schema import DatasetChoice
from tests.data.data_layouts import save

COUNT, SIDE = 24, 96


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


@cache
def chests():
    """Phantom chests with the masks of their lungs, values 0 and 255."""
    made = generate("adult_pa", {}, cases=32, image_size=SIDE)
    return [(image, mask * np.uint8(255)) for image, mask in zip(made.images, made.masks, strict=True)]


def chest(number):
    return chests()[number]


def findings(tmp_path, change=None, rows=None):
    cases = {number: chest(number) for number in range(COUNT)}
    if change is not None:
        change(cases)
    for number, (image, mask) in cases.items():
        save(tmp_path / f"{number}.png", image)
        save(tmp_path / f"{number}_mask.png", mask)
    rows = rows or [f"{i}.png,{i % 2},{i}_mask.png,p{i}" for i in range(COUNT)]
    (tmp_path / "ours.csv").write_text("\n".join(["image,label,mask,patient_id", *rows, ""]))
    choice = DatasetChoice(dataset="manifest", path="ours.csv")
    dataset = load_dataset(choice, image_size=64, seed=0, data_root=tmp_path)
    return {one.text: one for one in audit(dataset, files_of(choice, tmp_path))}


def test_nothing_is_odd_about_chests(tmp_path):
    assert findings(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("images have an unusual shape", lambda image, mask: (image[:40], mask[:40])),
        ("images show hardly any contrast", lambda image, mask: (image // 60, mask)),
        (
            "images are black or white in more than half of the image",
            lambda image, mask: (np.where(mask > 0, image, 0).astype(np.uint8), mask),
        ),
        ("images look like the negative of the others, or turned", lambda image, mask: (255 - image, mask)),
        ("masks of lungs are empty", lambda image, mask: (image, mask * 0)),
        (
            "masks of lungs cover more than three quarters of the image",
            lambda image, mask: (image, mask * 0 + 1),
        ),
        (
            "masks of lungs run along most of the image's border",
            lambda image, mask: (image, np.pad(mask[16:-16, 16:-16] * 0, 16, constant_values=1)),
        ),
        (
            "masks of lungs lie outside of the body in part",
            lambda image, mask: (np.where(np.arange(SIDE) < 40, 0, image).astype(np.uint8), mask),
        ),
        ("masks of lungs hardly overlap the usual place", lambda image, mask: (image, np.roll(mask, 48, 0))),
        (
            "masks of lungs do not have two lungs",
            lambda image, mask: (image, mask * (np.arange(SIDE) < SIDE // 2).astype(np.uint8)),
        ),
    ],
)
def test_each_oddity_is_found_in_its_case_alone(tmp_path, text, change):
    def plant(cases):
        image, mask = change(*cases[7])
        cases[7] = np.ascontiguousarray(image), (np.ascontiguousarray(mask) > 0).astype(np.uint8) * 255

    found = findings(tmp_path, plant)
    assert text in found
    assert found[text].cases == ("7.png",)
    assert "(7.png)" in found[text].line
    assert {one.cases for one in found.values()} == {("7.png",)}, "no other case is named"


def test_identical_and_nearly_identical_images_are_found_with_their_labels(tmp_path):
    def plant(cases):
        cases[3] = cases[2]
        half = Image.fromarray(cases[5][0]).resize((64, 64), Image.Resampling.BICUBIC)
        cases[4] = np.asarray(half.resize((SIDE, SIDE), Image.Resampling.BICUBIC)), cases[5][1]

    found = findings(tmp_path, plant)
    assert found["images are identical to another image"].cases == ("2.png", "3.png")
    assert found["images are the same image under different labels"].cases == ("2.png", "3.png")
    assert {"4.png", "5.png"} <= set(found["images are nearly the same as another image"].cases)


def test_labels_are_held_against_folder_names(tmp_path):
    rows = [f"{i}.png,{i % 2},{i}_mask.png,p{i}" for i in range(2, COUNT)]
    for name, (image, mask) in {
        "NORMAL/a": chest(0),
        "set/pneumonia/b": chest(1),
        "normal_c": chest(30),
    }.items():
        save(tmp_path / f"{name}.png", image)
        save(tmp_path / f"{name}_mask.png", mask)
    rows += [
        "NORMAL/a.png,1,NORMAL/a_mask.png,a",
        "set/pneumonia/b.png,1,set/pneumonia/b_mask.png,b",
        "normal_c.png,0,normal_c_mask.png,c",
    ]
    found = findings(tmp_path, rows=rows)
    (only,) = found.values()
    assert only.text == "images carry a label that their file or folder name contradicts"
    assert only.cases == ("NORMAL/a.png",)


def test_a_patient_of_many_images_is_named(tmp_path):
    rows = [f"{i}.png,{i % 2},{i}_mask.png,{'same' if i < 22 else f'p{i}'}" for i in range(COUNT)]
    found = findings(tmp_path, rows=rows)
    assert found == {}, "22 images of one patient are not 20 times the mean of 3"
    many = [f"{i}.png,{i % 2},{i}_mask.png,same" for i in range(COUNT)]
    extra = []
    for number in range(COUNT, COUNT + 500):
        save(tmp_path / f"x{number}.png", np.random.default_rng(number).integers(0, 256, (16, 16), np.uint8))
        extra.append(f"x{number}.png,0,,q{number}")
    found = findings(tmp_path, rows=[*many, *extra])
    assert len(found["images are of a patient with many more images than others"].cases) == COUNT
