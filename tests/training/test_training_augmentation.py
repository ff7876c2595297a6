"""Weak augmentation against NumPy's reflect padding."""

import numpy as np
import pytest
import torch

from mmbench.protocol.schema import Augmentation
from mmbench.training.augmentation import Geometry, draw_geometry, gather


def images(count, side, seed=0):
    return torch.randint(
        256, (count, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def drawn(count, side, seed=0, **settings):
    return draw_geometry(count, side, torch.Generator().manual_seed(seed), Augmentation(**settings))


@pytest.mark.parametrize(("side", "crop"), [(32, 0.125), (20, 0.3), (16, 0.45)])
def test_every_image_is_a_crop_of_the_padded_image_or_of_its_mirror(side, crop):
    source, rows = images(6, side), torch.tensor([4, 0, 0, 5, 2] * 40)
    found = gather(source, rows, drawn(len(rows), side, crop=crop))
    reach = round(crop * side)
    seen = set()
    for row, image in zip(rows.tolist(), found.numpy(), strict=True):
        matches = []
        for flipped in (False, True):
            original = source[row].numpy()
            padded = np.pad(original[:, ::-1] if flipped else original, reach, mode="reflect")
            windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
            matches += [(flipped, *place) for place in np.argwhere((windows == image).all((2, 3))).tolist()]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {flipped for flipped, *_ in seen} == {False, True}
    for axis in (1, 2):
        places = {match[axis] for match in seen}
        assert min(places) <= reach // 2 <= 2 * reach - reach // 2 <= max(places)


def test_a_crop_by_hand():
    source = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
    # Two rows down and one column left, by reflection: rows 2 3 2 1, columns 1 0 1 2.
    geometry = Geometry(torch.tensor([[2, 3, 2, 1]]), torch.tensor([[1, 0, 1, 2]]))
    expected = [[9, 8, 9, 10], [13, 12, 13, 14], [9, 8, 9, 10], [5, 4, 5, 6]]
    assert gather(source, torch.tensor([0]), geometry)[0].tolist() == expected


def test_shifts_and_flips_are_uniform():
    geometry = drawn(20_000, 16, crop=0.125)
    flipped = geometry.columns[:, 8] > geometry.columns[:, 9]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.02)
    shares = torch.bincount(geometry.rows[:, 8] - 6) / 20_000
    assert shares.tolist() == pytest.approx([0.2] * 5, abs=0.015)


def test_nothing_asked_for_changes_nothing():
    source, rows = images(3, 16), torch.tensor([2, 1])
    assert torch.equal(gather(source, rows, drawn(2, 16, crop=0.0, flip=False)), source[rows])


def test_without_flip_the_shifts_stay_the_same():
    with_flip, without = drawn(50, 16), drawn(50, 16, flip=False)
    assert torch.equal(with_flip.rows, without.rows)
    assert (without.columns[:, 9] - without.columns[:, 8] == 1).all()


def test_images_and_masks_stay_aligned():
    source, rows = images(5, 24), torch.tensor([3, 3, 1])
    masks = (source > 128).to(torch.uint8)
    geometry = drawn(3, 24)
    assert torch.equal(gather(masks, rows, geometry), (gather(source, rows, geometry) > 128).to(torch.uint8))


def test_a_seed_gives_the_same_images():
    source, rows = images(5, 24), torch.tensor([0, 1, 2, 3, 4])
    first, again, other = (gather(source, rows, drawn(5, 24, seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_images():
    source, rows = images(5, 24), torch.tensor([0, 1, 2, 3, 4])
    geometry = drawn(5, 24)
    assert torch.equal(gather(source.cuda(), rows, geometry).cpu(), gather(source, rows, geometry))
