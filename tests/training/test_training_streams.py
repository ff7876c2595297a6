"""Streams: who sees which image when."""

import numpy as np
import pytest
import torch
from torch.nn.functional import max_pool2d

from mmbench.errors import PluginError
from mmbench.methods import Views
from mmbench.methods.batch import Geometry
from mmbench.protocol.schema import Augmentation, Training
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.training import streams
from mmbench.training.augmentation import draw_boxes
from mmbench.training.streams import StreamLoader, TaskData, labeled_data

SIDE = 8
PLAIN = Augmentation(flip=False, crop=0, strong={"operations": 0})


def data(n=20, labeled=6):
    # Image i is constantly i, so that a batch tells which rows it came from.
    images = torch.arange(n, dtype=torch.uint8)[:, None, None].expand(n, SIDE, SIDE).contiguous()
    masks = (images >= 10).to(torch.uint8)[:, None]
    rows = np.arange(n)
    return {
        Task.CLASSIFICATION: TaskData(images, torch.arange(n) % 2, None, rows[:labeled], rows[labeled:]),
        Task.SEGMENTATION: TaskData(images, None, masks, rows[-labeled:], rows[:-labeled]),
    }


OWN = tuple(stream for stream in Stream if not stream.target)
STRONG = {Stream.UNLABELED_CLASSIFICATION: Views(strong=1)}


def loader(streams=OWN, seed=0, batch_size=4, augmentation=PLAIN, views=STRONG, **kwargs):
    training = Training(batch_size=batch_size, augmentation=augmentation)
    return StreamLoader(data(**kwargs), streams, training, seed=seed, views=views)


def rows(made, stream, step):
    return made.data[stream.task].pool(stream)[made.positions(stream, step)]


def identities(images):
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


def test_only_the_streams_asked_for_are_built():
    assert set(loader([Stream.LABELED_SEGMENTATION]).batch(1)) == {Stream.LABELED_SEGMENTATION}
    assert set(loader().batch(1)) == set(OWN)


def test_batches_carry_what_their_stream_promises():
    batch = loader().batch(4)
    for stream, part in batch.items():
        assert part.images.shape == (4, 1, SIDE, SIDE)
        assert part.images.dtype == torch.float32
        assert hasattr(part, "labels") == (stream is Stream.LABELED_CLASSIFICATION)
        assert hasattr(part, "masks") == (stream is Stream.LABELED_SEGMENTATION)
        assert hasattr(part, "strong") == (stream is Stream.UNLABELED_CLASSIFICATION)
        assert torch.equal(part.weak[0], part.images)
    labeled = batch[Stream.LABELED_CLASSIFICATION]
    assert labeled.labels.tolist() == [i % 2 for i in identities(labeled.images)]
    segmentation = batch[Stream.LABELED_SEGMENTATION]
    assert torch.equal(
        segmentation.masks[:, 0, 0, 0].bool(), torch.tensor(identities(segmentation.images)) >= 10
    )
    assert identities(batch[Stream.UNLABELED_CLASSIFICATION].strong[0]) == identities(
        batch[Stream.UNLABELED_CLASSIFICATION].images
    )


def test_streams_draw_from_their_own_pool():
    made = loader()
    seen = {stream: set() for stream in OWN}
    for step in range(1, 31):
        for stream, part in made.batch(step).items():
            seen[stream] |= set(identities(part.images))
    assert seen[Stream.LABELED_CLASSIFICATION] == set(range(6))
    assert seen[Stream.UNLABELED_CLASSIFICATION] == set(range(6, 20))
    assert seen[Stream.LABELED_SEGMENTATION] == set(range(14, 20))
    assert seen[Stream.UNLABELED_SEGMENTATION] == set(range(14))


def test_every_image_comes_once_per_epoch_across_batch_borders():
    made = loader(batch_size=5)
    drawn = np.concatenate([rows(made, Stream.UNLABELED_CLASSIFICATION, step) for step in range(1, 15)])
    for epoch in range(5):
        assert sorted(drawn[epoch * 14 : (epoch + 1) * 14]) == list(range(6, 20))
    assert drawn[:14].tolist() != drawn[14:28].tolist()


def test_a_budget_smaller_than_the_batch_repeats_images():
    drawn = rows(loader(batch_size=10, labeled=3), Stream.LABELED_CLASSIFICATION, 1)
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [0, 1, 2]


def test_order_and_augmentation_depend_on_seed_stream_and_step_alone():
    noisy = Augmentation()
    alone = loader([Stream.LABELED_CLASSIFICATION], augmentation=noisy)
    among_all = loader(augmentation=noisy)
    for step in (8, 3, 8):
        a = alone.batch(step)[Stream.LABELED_CLASSIFICATION].images
        b = among_all.batch(step)[Stream.LABELED_CLASSIFICATION].images
        assert torch.equal(a, b)
    other = [rows(loader(seed=1), Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in (1, 2, 3)]
    same = [rows(loader(), Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in (1, 2, 3)]
    assert other != same
    assert same == [rows(loader(), Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in (1, 2, 3)]


def test_segmentation_augmentation_moves_image_and_mask_together():
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (6, SIDE, SIDE), dtype=np.uint8))
    pair = {
        Task.SEGMENTATION: TaskData(
            images, None, (images > 127).to(torch.uint8)[:, None], np.arange(6), np.arange(6)
        )
    }
    training = Training(batch_size=6, augmentation=Augmentation(segmentation="weak", crop=0.25))
    made = StreamLoader(pair, [Stream.LABELED_SEGMENTATION], training, seed=0)
    part = made.batch(1)[Stream.LABELED_SEGMENTATION]
    assert torch.equal(part.masks.bool(), part.images > 0)
    drawn = torch.from_numpy(rows(made, Stream.LABELED_SEGMENTATION, 1))
    assert not torch.equal(part.masks[:, 0].byte(), (images > 127).byte()[drawn])


@pytest.mark.parametrize("segmentation", ["none", "weak"])
def test_every_structures_mask_moves_with_its_image(segmentation):
    images = torch.randint(0, 256, (6, SIDE, SIDE), dtype=torch.uint8)
    masks, rows = torch.stack([images > 127, images > 200], 1).to(torch.uint8), np.arange(6)
    pair = {Task.SEGMENTATION: TaskData(images, None, masks, rows, rows)}
    training = Training(batch_size=4, augmentation=Augmentation(segmentation=segmentation, crop=0.25))
    made = StreamLoader(pair, [Stream.LABELED_SEGMENTATION], training, seed=0)
    part = made.batch(2)[Stream.LABELED_SEGMENTATION]
    levels = ((part.images[:, 0] + 1) * 127.5).round()
    assert part.masks.shape == (4, 2, SIDE, SIDE)
    assert torch.equal(part.masks[:, 0].bool(), levels > 127)
    assert torch.equal(part.masks[:, 1].bool(), levels > 200)


def test_labeled_data_holds_the_budget_only():
    found = labeled_data(data())
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.masks.shape == (6, 1, SIDE, SIDE)
    assert labeled_data({Task.CLASSIFICATION: data()[Task.CLASSIFICATION]}).masks is None


@pytest.mark.gpu
def test_batches_are_the_same_on_a_gpu():
    cpu = loader(augmentation=Augmentation()).batch(1)
    moved = {
        task: TaskData(
            d.images.cuda(),
            None if d.labels is None else d.labels.cuda(),
            None if d.masks is None else d.masks.cuda(),
            d.labeled,
            d.unlabeled,
        )
        for task, d in data().items()
    }
    training = Training(batch_size=4, augmentation=Augmentation())
    gpu = StreamLoader(moved, OWN, training, seed=0, views=STRONG).batch(1)
    for stream, expected in cpu.items():
        for name, value in vars(expected).items():
            for one, other in zip(flat(getattr(gpu[stream], name)), flat(value), strict=True):
                torch.testing.assert_close(one.cpu(), other)


def flat(value):
    if isinstance(value, Geometry):
        return [value.rows, value.columns]
    return [value] if isinstance(value, torch.Tensor) else list(value)


def test_a_split_batch_holds_every_image_once_with_its_share():
    whole = loader(batch_size=5).batch(1)
    parts = list(whole.split(2))
    assert [share for _, share in parts] == [0.4, 0.4, 0.2]
    assert [part.step for part, _ in parts] == [1, 1, 1]
    for stream, expected in whole.items():
        for name, value in vars(expected).items():
            pieces = [flat(getattr(part[stream], name)) for part, _ in parts]
            for place, one in enumerate(flat(value)):
                assert torch.equal(torch.cat([piece[place] for piece in pieces]), one)


def noise(n=12, side=32):
    images = torch.randint(0, 256, (n, side, side), dtype=torch.uint8)
    rows = np.arange(n)
    labels = torch.arange(n) % 2
    return {
        task: TaskData(images, labels, (images > 127).to(torch.uint8)[:, None], rows, rows) for task in Task
    }


def viewed(streams, views, augmentation=None, step=1):
    training = Training(batch_size=6, augmentation=augmentation or Augmentation())
    return StreamLoader(noise(), streams, training, seed=0, views=views).batch(step)


@pytest.mark.parametrize("stream", OWN)
def test_a_view_does_not_depend_on_which_others_are_asked_for(stream):
    torch.manual_seed(0)
    data = noise()
    training = Training(batch_size=6, augmentation=Augmentation(segmentation="weak"))

    def made(**views):
        return StreamLoader(data, [stream], training, seed=0, views={stream: Views(**views)}).batch(3)[stream]

    one, more = made(strong=1), made(weak=3, strong=2, cutmix=1.0)
    assert torch.equal(one.images, more.images)
    assert torch.equal(one.strong[0], more.strong[0])
    different = [*more.weak, *more.strong]
    assert len(different) == 5
    for first in range(5):
        for second in range(first):
            assert not torch.equal(different[first], different[second])


def test_aligned_strong_views_keep_every_pixel_in_its_place():
    """A dark image with one bright square: intensities move no edge, geometry would."""
    stream = Stream.UNLABELED_SEGMENTATION
    images = torch.full((6, 32, 32), 60, dtype=torch.uint8)
    for row in range(6):
        images[row, 4 + row : 14, 8:18] = 190
    rows = np.arange(6)
    data = {Task.SEGMENTATION: TaskData(images, None, (images > 127)[:, None], rows, rows)}
    quiet = Augmentation(segmentation="weak", strong={"operations": 2})
    training = Training(batch_size=6, augmentation=quiet)
    for step in range(1, 9):
        loader = StreamLoader(data, [stream], training, seed=0, views={stream: Views(strong=2)})
        part = loader.batch(step)[stream]
        for strong in part.strong:
            highest, lowest = (sign * max_pool2d(sign * part.images, 5, 1, 2) for sign in (1, -1))
            for weak, moved, far in zip(part.images, strong, highest == lowest, strict=True):
                # Two sharpenings reach two pixels beyond an edge; elsewhere an image has two values.
                for value in weak.unique():
                    assert len(moved[far & (weak == value)].unique()) == 1


def test_boxes_are_filled_from_other_images_of_the_batch():
    stream = Stream.UNLABELED_SEGMENTATION
    (part,) = viewed([stream], {stream: Views(strong=2, cutmix=1.0)}).values()
    assert len(part.cutmix) == 2
    for mix in part.cutmix:
        assert mix.boxes.shape == (6, 1, 32, 32)
        assert (mix.partners != torch.arange(6)).all()
        pasted = mix.paste(part.images)
        for row in range(6):
            box = mix.boxes[row, 0]
            assert torch.equal(pasted[row, 0][box], part.images[mix.partners[row], 0][box])
            assert torch.equal(pasted[row, 0][~box], part.images[row, 0][~box])


def test_boxes_have_the_area_and_the_frequency_that_they_are_drawn_with():
    random = torch.Generator().manual_seed(0)
    boxes = draw_boxes(4000, 64, 0.5, random).flatten(1).float()
    given = boxes.any(1)
    assert given.float().mean().item() == pytest.approx(0.5, abs=0.03)
    area = boxes[given].mean(1)
    assert area.max().item() <= 0.4
    # A uniform area between .02 and .4 has a mean of .21; whole pixels and the image's sides take some away.
    assert 0.17 < area.mean().item() < 0.21


def test_partners_of_a_split_batch_are_in_its_part():
    stream = Stream.UNLABELED_SEGMENTATION
    whole = viewed([stream], {stream: Views(strong=1, cutmix=1.0)})
    for part, _ in whole.split(4):
        (mix,) = part[stream].cutmix
        mix.paste(part[stream].images)
        assert len(mix.boxes) == len(part[stream].images)


def test_what_a_batch_does_not_have_is_named():
    batch = viewed([Stream.UNLABELED_SEGMENTATION], {})
    with pytest.raises(PluginError, match=r"no strong, only images, weak, rows.*views = "):
        _ = batch[Stream.UNLABELED_SEGMENTATION].strong
    with pytest.raises(PluginError, match="no labeled_segmentation, only unlabeled_segmentation; name it in"):
        _ = batch[Stream.LABELED_SEGMENTATION]
    with pytest.raises(PluginError, match="boxes are drawn for strong views"):
        Views(cutmix=0.5)


def test_a_batch_tells_each_images_place_in_its_pool():
    made = loader()
    for step in (1, 5):
        for stream, part in made.batch(step).items():
            pool = made.data[stream.task].pool(stream)
            assert pool[part.rows.numpy()].tolist() == identities(part.images)
    found = labeled_data(made.data, OWN)
    assert found.pool_sizes[Stream.UNLABELED_CLASSIFICATION] == 14
    assert found.pool_sizes[Stream.LABELED_CLASSIFICATION] == 6


def test_rows_of_images_kept_on_the_host_come_to_the_device():
    images = data()[Task.CLASSIFICATION].images
    take = streams._take  # noqa: SLF001  whole batches cannot be made on a device without numbers
    taken = take(images, torch.tensor([3, 1, 4]), None, torch.device("meta"))
    assert taken.device.type == "meta"
    assert taken.shape == (3, SIDE, SIDE)


@pytest.mark.gpu
def test_data_that_exceed_the_gpus_memory_are_pinned_and_give_the_same_batches(monkeypatch):
    gpu = torch.device("cuda")
    training = Training(batch_size=4, augmentation=Augmentation(segmentation="weak"))
    expected = StreamLoader(data(), OWN, training, seed=0).batch(1)
    monkeypatch.setattr(streams, "has_room", lambda size, device: False)
    on_device = streams._on_device  # noqa: SLF001  task_data() wants a data set of files
    kept = {
        task: TaskData(
            on_device(each.images.numpy(), gpu),
            None if each.labels is None else each.labels.cuda(),
            None if each.masks is None else on_device(each.masks.numpy(), gpu),
            each.labeled,
            each.unlabeled,
        )
        for task, each in data().items()
    }
    assert all(each.images.is_pinned() for each in kept.values())
    found = StreamLoader(kept, OWN, training, seed=0, device=gpu).batch(1)
    for stream, part in expected.items():
        torch.testing.assert_close(found[stream].images.cpu(), part.images)


def test_streams_without_labels_have_the_ratios_images():
    training = Training(batch_size=2, unlabeled_ratio=3, augmentation=PLAIN)
    made = StreamLoader(data(), OWN, training, seed=0, views=STRONG)
    batch = made.batch(1)
    assert {stream: len(part.images) for stream, part in batch.items()} == {
        stream: 2 if stream.labeled else 6 for stream in OWN
    }
    assert len(batch[Stream.UNLABELED_CLASSIFICATION].strong[0]) == 6
    # The pool of 14 images comes once before any of them comes again.
    drawn = [made.positions(Stream.UNLABELED_CLASSIFICATION, step) for step in (1, 2, 3)]
    assert sorted(np.concatenate(drawn)[:14]) == list(range(14))
    # Where memory runs out, a part has three times as many images without labels.
    assert [
        (len(part[Stream.LABELED_CLASSIFICATION].images), len(part[Stream.UNLABELED_SEGMENTATION].images))
        for part, _ in batch.split(1)
    ] == [(1, 3), (1, 3)]


def test_a_pool_has_every_image_once_with_its_label_or_mask(monkeypatch):
    monkeypatch.setattr(streams, "POOL_BATCH", 4)
    weak = Augmentation(flip=True, crop=0.25, segmentation="weak")
    pools = loader(augmentation=weak).pools()
    assert {stream: len(pool) for stream, pool in pools.items()} == {
        stream: 6 if stream.labeled else 14 for stream in OWN
    }
    for stream, pool in pools.items():
        parts = list(pool.batches())
        assert [len(part.images) for part in parts] == ([4, 2] if stream.labeled else [4, 4, 4, 2])
        assert torch.cat([part.rows for part in parts]).tolist() == list(range(len(pool)))
        expected = data()[stream.task].pool(stream).tolist()
        assert [one for part in parts for one in identities(part.images)] == expected
        if stream is Stream.LABELED_CLASSIFICATION:
            assert [one for part in parts for one in part.labels.tolist()] == [row % 2 for row in expected]
        if stream is Stream.LABELED_SEGMENTATION:
            masks = torch.cat([part.masks[:, 0, 0, 0] for part in parts])
            assert masks.tolist() == [float(row >= 10) for row in expected]


@pytest.mark.parametrize("stream", OWN)
def test_what_is_known_of_pixels_moves_with_the_image(stream):
    augmentation = Augmentation(flip=True, crop=0.125, segmentation="weak", strong={"operations": 0})
    noisy = noise()
    made = StreamLoader(noisy, [stream], Training(batch_size=4, augmentation=augmentation), seed=0)
    batch = made.batch(3)[stream]
    whole = torch.cat([part.images for part in made.pools()[stream].batches()])
    still = whole[batch.rows]
    assert torch.equal(batch.move(still), batch.images)
    assert not torch.equal(still, batch.images)
    part = batch.part(1, 3)
    assert torch.equal(part.move(still[1:3]), part.images)


def test_images_that_are_not_moved_leave_pixels_in_their_places():
    batch = loader([Stream.UNLABELED_SEGMENTATION]).batch(1)[Stream.UNLABELED_SEGMENTATION]
    values = torch.rand(4, 2, SIDE, SIDE)
    assert batch.move(values) is values
