import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mmbench.data.dataset import image_fingerprints
from mmbench.data.fingerprints import (
    duplicate_groups,
    identical_pairs,
    near_pairs,
    perceptual_hashes,
    pixel_digest,
)
from tests.data.data_layouts import picture

IMAGES = np.stack([picture(seed, 96) for seed in range(60)])


def jpeg(levels, quality=60):
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def smaller(levels):
    return np.asarray(Image.fromarray(levels).resize((70, 70), Image.Resampling.BICUBIC).resize((96, 96)))


def darker(levels):
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(levels)).enhance(0.8))


def test_pixel_digest_sees_pixels_shape_and_depth():
    base = np.zeros((4, 6), dtype=np.uint8)
    changed = base.copy()
    changed[3, 5] = 1
    found = {pixel_digest(x).tobytes() for x in (base, changed, base.reshape(6, 4), base.astype(np.uint16))}
    assert len(found) == 4
    assert pixel_digest(base[:, ::1].copy()).tobytes() in found


def test_hashes_are_the_signs_of_an_independent_cosine_transform():
    thumbnail = picture(5, 32).astype(float)
    n = np.arange(32)
    basis = np.cos(np.pi * (n[None, :] + 0.5) * n[:, None] / 32) * np.sqrt(2 / 32)
    basis[0] /= np.sqrt(2)
    low = (basis @ thumbnail @ basis.T)[:9, :9].ravel()[1:65]
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert int(perceptual_hashes(picture(5, 32)[None])[0]) == int(bits, 2)


@pytest.mark.parametrize("change", [jpeg, smaller, darker])
def test_copies_are_near_duplicates_and_others_are_not(change):
    copies = np.stack([change(image) for image in IMAGES])
    pairs = near_pairs(image_fingerprints(IMAGES), image_fingerprints(copies))
    assert all(row == match for row, match in pairs)
    assert len(pairs) >= 0.95 * len(IMAGES)


def test_identical_images_are_identical_and_not_near():
    prints = image_fingerprints(IMAGES[[0, 1, 0, 2]])
    other = image_fingerprints(IMAGES[[2, 0]])
    np.testing.assert_array_equal(identical_pairs(prints, other), [[0, 1], [2, 1], [3, 0]])
    assert len(near_pairs(prints, other)) == 0


def test_blank_images_are_never_near_duplicates():
    blank = np.stack([np.zeros((32, 32), np.uint8), np.full((32, 32), 7, np.uint8)])
    assert len(near_pairs(image_fingerprints(blank), image_fingerprints(blank))) == 0


def test_groups_follow_chains_of_patients_and_copies():
    images = np.stack([IMAGES[0], IMAGES[1], IMAGES[1], jpeg(IMAGES[0]), IMAGES[4], IMAGES[5]])
    patients = ["a", "b", "c", "d", "c", "e"]
    # 0 and 3 are near, 1 and 2 identical, 2 and 4 one patient, 5 alone
    np.testing.assert_array_equal(duplicate_groups(patients, image_fingerprints(images)), [0, 1, 1, 0, 1, 2])


def test_nothing_has_no_groups():
    empty = image_fingerprints(np.zeros((0, 8, 8), np.uint8))
    assert len(duplicate_groups([], empty)) == 0
    assert near_pairs(empty, empty).shape == (0, 2)
