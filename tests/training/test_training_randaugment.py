"""Strong augmentation against Pillow, operation by operation, as FixMatch calls it."""

import math
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from mmbench.protocol.schema import StrongAugmentation
from mmbench.training.affine import coefficients, resample
from mmbench.training.randaugment import POOL, Operation, apply, cut_out, draw_operations, strong

AFFINE = Image.Transform.AFFINE


def pillow(image, name, magnitude, sign):
    """Apply one operation as the FixMatch PyTorch code does."""
    factor = float(magnitude) * 0.9 / 10 + 0.05
    shear = sign * float(magnitude) * 0.3 / 10
    shift = int(shear * image.width)
    return {
        "identity": lambda: image,
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "posterize": lambda: ImageOps.posterize(image, int(magnitude * 4 / 10) + 4),
        "solarize": lambda: ImageOps.solarize(image, 256 - int(magnitude * 256 / 10)),
        "rotate": lambda: image.rotate(sign * int(magnitude * 30 / 10)),
        "shear_x": lambda: image.transform(image.size, AFFINE, (1, shear, 0, 0, 1, 0)),
        "shear_y": lambda: image.transform(image.size, AFFINE, (1, 0, 0, shear, 1, 0)),
        "translate_x": lambda: image.transform(image.size, AFFINE, (1, 0, shift, 0, 1, 0)),
        "translate_y": lambda: image.transform(image.size, AFFINE, (1, 0, 0, 0, 1, shift)),
    }[name]()


def pictures(side):
    """Return unlike images: noise, a narrow range, a ramp, a dark disc, few levels, two constants."""
    random = np.random.default_rng(side)
    rows, columns = np.mgrid[:side, :side]
    disc = (rows - side / 2) ** 2 + (columns - side / 3) ** 2 < (side / 4) ** 2
    stack = [
        random.integers(0, 256, (side, side)),
        random.integers(90, 140, (side, side)),
        (rows * 3 + columns * 2) * 255 / (5 * side),
        np.where(disc, 20, 200) + random.integers(0, 30, (side, side)),
        random.choice([0, 1, 254, 255], (side, side)),
        np.full((side, side), 0),
        np.full((side, side), 137),
    ]
    return np.stack(stack).astype(np.uint8)


def expected(stack, operations):
    found = [
        np.asarray(pillow(Image.fromarray(image), o.name, o.magnitude, o.sign))
        for image, o in zip(stack, operations, strict=True)
    ]
    return np.stack(found)


@pytest.mark.parametrize("side", [17, 48, 64])
@pytest.mark.parametrize("name", POOL)
def test_every_operation_is_pillows_to_the_bit(name, side):
    stack = pictures(side)
    for magnitude in range(1, 11):
        for sign in (-1, 1):
            operations = [Operation(name, magnitude, sign)] * len(stack)
            found = torch.from_numpy(stack.copy())
            apply(found, operations)
            np.testing.assert_array_equal(found.numpy(), expected(stack, operations), str(operations[0]))


def test_geometric_operations_are_pillows_at_full_size():
    stack = pictures(256)[:1]
    for name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        for magnitude in range(1, 11):
            operation = [Operation(name, magnitude, -1)]
            found = torch.from_numpy(stack.copy())
            apply(found, operation)
            np.testing.assert_array_equal(found.numpy(), expected(stack, operation))


def test_the_pool_is_fixmatchs_without_color():
    assert set(POOL) == {
        "autocontrast", "brightness", "contrast", "equalize", "identity", "posterize", "rotate",
        "sharpness", "shear_x", "shear_y", "solarize", "translate_x", "translate_y",
    }  # fmt: skip
    assert len(POOL) == 13


def test_a_batch_of_different_operations_in_turn():
    stack = np.concatenate([pictures(32)] * 12)
    settings = StrongAugmentation(operations=3, probability=0.8)
    turns = draw_operations(len(stack), torch.Generator().manual_seed(3), settings)
    assert len({operation.name for turn in turns for operation in turn}) == 13
    reference = stack
    for operations in turns:
        reference = expected(reference, operations)
    found = strong(torch.from_numpy(stack), torch.Generator().manual_seed(3), settings)
    np.testing.assert_array_equal(found.numpy(), reference)


def test_operations_are_applied_in_their_order():
    image = torch.from_numpy(pictures(32)[:1])
    turns = [Operation("contrast", 1, 1)], [Operation("translate_x", 5, 1)]
    first, second = image.clone(), image.clone()
    for operations in turns:
        apply(first, operations)
    for operations in reversed(turns):
        apply(second, operations)
    assert not torch.equal(first, second)
    assert (first[0, :, -3:] == 0).all()


def test_a_rotation_by_hand():
    # A quarter turn counter-clockwise is outside the pool, but its pixels are known without computing.
    image = torch.arange(9, dtype=torch.uint8).view(1, 3, 3)
    quarter = torch.tensor([[0, -1, 3, 1, 0, 0]]) * 65536
    quarter[0, 2] -= 32768
    quarter[0, 5] += 32768
    assert resample(image, quarter.int())[0].tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]


def test_a_shear_by_hand():
    # 0.3 of a row's height: pixel centres at y + 1/2 look 0.15, 0.45, 0.75, 1.05 columns further.
    image = torch.arange(1, 17, dtype=torch.uint8).view(1, 4, 4)
    apply(image, [Operation("shear_x", 10, 1)])
    assert image[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [10, 11, 12, 0], [14, 15, 16, 0]]


def test_coefficients_rotate_about_the_centre():
    a, b, c, d, e, f = coefficients("rotate", 10, 1, 64)
    assert (a, d) == (round(65536 * math.cos(math.pi / 6)), 65536 // 2)
    assert abs(32 * (a + b) + c - (a + b) / 2 - 32 * 65536) < 64
    assert abs(32 * (d + e) + f - (d + e) / 2 - 32 * 65536) < 64


def test_the_input_stays_as_it_is():
    stack = torch.from_numpy(pictures(32))
    before = stack.clone()
    strong(stack, torch.Generator().manual_seed(0), StrongAugmentation(cutout=True))
    assert torch.equal(stack, before)


@pytest.mark.parametrize("settings", [{"probability": 0.0}, {"operations": 0}])
def test_nothing_asked_for_changes_nothing(settings):
    stack = torch.from_numpy(pictures(32))
    random = torch.Generator().manual_seed(0)
    assert torch.equal(strong(stack, random, StrongAugmentation(**settings)), stack)


def test_a_seed_gives_the_same_images():
    stack = torch.from_numpy(np.concatenate([pictures(32)] * 3))
    settings = StrongAugmentation(cutout=True)
    first, again, other = (strong(stack, torch.Generator().manual_seed(s), settings) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_operations_magnitudes_and_signs_are_uniform():
    count = 13_000
    turns = draw_operations(count, torch.Generator().manual_seed(0), StrongAugmentation())
    assert len(turns) == 2
    for turn in turns:
        names = np.unique([operation.name for operation in turn], return_counts=True)[1]
        assert len(names) == 13
        assert abs(names - 1000).max() < 130
        magnitudes = np.bincount([operation.magnitude for operation in turn], minlength=11)
        assert magnitudes[0] == 0
        assert len(magnitudes) == 11
        assert abs(magnitudes[1:] - 1300).max() < 150
        assert abs(sum(operation.sign for operation in turn)) < 500
    same = sum(one.name == two.name for one, two in zip(*turns, strict=True))
    assert same / count == pytest.approx(1 / 13, abs=0.01)


def test_an_operation_is_left_out_as_often_as_asked():
    turn, _ = draw_operations(13_000, torch.Generator(), StrongAugmentation(probability=0.5))
    kept = sum(operation.name != "identity" for operation in turn) / 13_000
    assert kept == pytest.approx(0.5 * 12 / 13, abs=0.02)


def test_the_probability_does_not_move_other_draws():
    always = draw_operations(100, torch.Generator().manual_seed(4), StrongAugmentation())
    sometimes = draw_operations(100, torch.Generator().manual_seed(4), StrongAugmentation(probability=0.5))
    for one, two in zip(chain(*always), chain(*sometimes), strict=True):
        assert (one.magnitude, one.sign) == (two.magnitude, two.sign)
        assert two.name in (one.name, "identity")


def test_cutout_greys_one_square_up_to_half_the_side():
    stack = torch.full((2000, 32, 32), 200, dtype=torch.uint8)
    cut_out(stack, torch.Generator().manual_seed(0))
    grey = (stack == 127).numpy()
    assert ((stack == 127) | (stack == 200)).all()
    heights, widths = grey.any(2).sum(1), grey.any(1).sum(1)
    np.testing.assert_array_equal(grey.sum((1, 2)), heights * widths)
    assert max(heights.max(), widths.max()) == 15
    inside = ~(grey[:, -1].any(1) | grey[:, :, -1].any(1))
    np.testing.assert_array_equal(heights[inside], widths[inside])
    assert np.bincount(heights[inside], minlength=16).min() > 20
    assert grey.mean(0).min() > 0.01


def test_cutout_comes_last_and_moves_no_other_draw():
    stack = torch.from_numpy(np.concatenate([pictures(32)] * 2))
    plain = strong(stack, torch.Generator().manual_seed(5), StrongAugmentation())
    cut = strong(stack, torch.Generator().manual_seed(5), StrongAugmentation(cutout=True))
    assert ((cut == plain) | (cut == 127)).all()
    assert not torch.equal(cut, plain)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_images():
    stack = torch.from_numpy(np.concatenate([pictures(64)] * 30))
    settings = StrongAugmentation(operations=4, cutout=True)
    on_cpu = strong(stack, torch.Generator().manual_seed(1), settings)
    on_gpu = strong(stack.cuda(), torch.Generator().manual_seed(1), settings)
    assert torch.equal(on_gpu.cpu(), on_cpu)
