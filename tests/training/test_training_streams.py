"""Streams: who sees which image when."""

import numpy as np
import pytest
import torch

from mmbench.protocol.schema import Augmentation, Training
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.training import streams
from mmbench.training.streams import StreamLoader, TaskData, labeled_data, split

SIDE = 8
PLAIN = Augmentation(flip=False, crop=0, strong={"operations": 0})


def data(n=20, labeled=6):
    # Image i is constantly i, so that a batch tells which rows it came from.
    images = torch.arange(n, dtype=torch.uint8)[:, None, None].expand(n, SIDE, SIDE).contiguous()
    masks = (images >= 10).to(torch.uint8)
    rows = np.arange(n)
    return {
        Task.CLASSIFICATION: TaskData(images, torch.arange(n) % 2, None, rows[:labeled], rows[labeled:]),
        Task.SEGMENTATION: TaskData(images, None, masks, rows[-labeled:], rows[:-labeled]),
    }


def loader(streams=tuple(Stream), seed=0, batch_size=4, augmentation=PLAIN, **kwargs):
    training = Training(batch_size=batch_size, augmentation=augmentation)
    return StreamLoader(data(**kwargs), streams, training, seed=seed)


def identities(images):
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


def test_only_the_streams_asked_for_are_built():
    assert set(loader([Stream.LABELED_SEGMENTATION]).batch(0)) == {Stream.LABELED_SEGMENTATION}
    assert set(loader().batch(0)) == set(Stream)


def test_batches_carry_what_their_stream_promises():
    batch = loader().batch(3)
    for stream, part in batch.items():
        assert part.images.shape == (4, 1, SIDE, SIDE)
        assert part.images.dtype == torch.float32
        assert (part.labels is not None) == (stream is Stream.LABELED_CLASSIFICATION)
        assert (part.masks is not None) == (stream is Stream.LABELED_SEGMENTATION)
        assert (part.strong is not None) == (stream is Stream.UNLABELED_CLASSIFICATION)
    labeled = batch[Stream.LABELED_CLASSIFICATION]
    assert labeled.labels.tolist() == [i % 2 for i in identities(labeled.images)]
    segmentation = batch[Stream.LABELED_SEGMENTATION]
    assert torch.equal(
        segmentation.masks[:, 0, 0, 0].bool(), torch.tensor(identities(segmentation.images)) >= 10
    )
    assert identities(batch[Stream.UNLABELED_CLASSIFICATION].strong) == identities(
        batch[Stream.UNLABELED_CLASSIFICATION].images
    )


def test_streams_draw_from_their_own_pool():
    made = loader()
    seen = {stream: set() for stream in Stream}
    for step in range(30):
        for stream, part in made.batch(step).items():
            seen[stream] |= set(identities(part.images))
    assert seen[Stream.LABELED_CLASSIFICATION] == set(range(6))
    assert seen[Stream.UNLABELED_CLASSIFICATION] == set(range(6, 20))
    assert seen[Stream.LABELED_SEGMENTATION] == set(range(14, 20))
    assert seen[Stream.UNLABELED_SEGMENTATION] == set(range(14))


def test_every_image_comes_once_per_epoch_across_batch_borders():
    made = loader(batch_size=5)
    rows = np.concatenate([made.rows(Stream.UNLABELED_CLASSIFICATION, step) for step in range(14)])
    for epoch in range(5):
        assert sorted(rows[epoch * 14 : (epoch + 1) * 14]) == list(range(6, 20))
    assert rows[:14].tolist() != rows[14:28].tolist()


def test_a_budget_smaller_than_the_batch_repeats_images():
    rows = loader(batch_size=10, labeled=3).rows(Stream.LABELED_CLASSIFICATION, 0)
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_order_and_augmentation_depend_on_seed_stream_and_step_alone():
    noisy = Augmentation()
    alone = loader([Stream.LABELED_CLASSIFICATION], augmentation=noisy)
    among_all = loader(augmentation=noisy)
    for step in (7, 2, 7):
        a = alone.batch(step)[Stream.LABELED_CLASSIFICATION].images
        b = among_all.batch(step)[Stream.LABELED_CLASSIFICATION].images
        assert torch.equal(a, b)
    other = [loader(seed=1).rows(Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in range(3)]
    same = [loader().rows(Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in range(3)]
    assert other != same
    assert same == [loader().rows(Stream.UNLABELED_CLASSIFICATION, step).tolist() for step in range(3)]


def test_segmentation_augmentation_moves_image_and_mask_together():
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (6, SIDE, SIDE), dtype=np.uint8))
    pair = {
        Task.SEGMENTATION: TaskData(images, None, (images > 127).to(torch.uint8), np.arange(6), np.arange(6))
    }
    training = Training(batch_size=6, augmentation=Augmentation(segmentation="weak", crop=0.25))
    made = StreamLoader(pair, [Stream.LABELED_SEGMENTATION], training, seed=0)
    part = made.batch(0)[Stream.LABELED_SEGMENTATION]
    assert torch.equal(part.masks.bool(), part.images > 0)
    rows = torch.from_numpy(made.rows(Stream.LABELED_SEGMENTATION, 0))
    assert not torch.equal(part.masks[:, 0].byte(), (images > 127).byte()[rows])


def test_labeled_data_holds_the_budget_only():
    found = labeled_data(data())
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.masks.shape == (6, SIDE, SIDE)
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
    gpu = StreamLoader(moved, Stream, training, seed=0).batch(1)
    for stream in Stream:
        for part in ("images", "strong", "masks", "labels"):
            expected = getattr(cpu[stream], part)
            if expected is not None:
                torch.testing.assert_close(getattr(gpu[stream], part).cpu(), expected)


def test_a_split_batch_holds_every_image_once_with_its_share():
    whole = loader(batch_size=5).batch(0)
    parts = list(split(whole, 2))
    assert [share for _, share in parts] == [0.4, 0.4, 0.2]
    for stream, expected in whole.items():
        for name in ("images", "labels", "masks", "strong"):
            value = getattr(expected, name)
            pieces = [getattr(part[stream], name) for part, _ in parts]
            if value is None:
                assert pieces == [None] * 3
            else:
                assert torch.equal(torch.cat(pieces), value)


def test_rows_of_images_kept_on_the_host_come_to_the_device():
    images = data()[Task.CLASSIFICATION].images
    taken = streams._take(images, torch.tensor([3, 1, 4]), None, torch.device("meta"))
    assert taken.device.type == "meta"
    assert taken.shape == (3, SIDE, SIDE)


@pytest.mark.gpu
def test_data_that_exceed_the_gpus_memory_are_pinned_and_give_the_same_batches(monkeypatch):
    gpu = torch.device("cuda")
    training = Training(batch_size=4, augmentation=Augmentation(segmentation="weak"))
    expected = StreamLoader(data(), Stream, training, seed=0).batch(1)
    monkeypatch.setattr(streams, "has_room", lambda size, device: False)
    kept = {
        task: TaskData(
            streams._on_device(each.images.numpy(), gpu),
            None if each.labels is None else each.labels.cuda(),
            None if each.masks is None else streams._on_device(each.masks.numpy(), gpu),
            each.labeled,
            each.unlabeled,
        )
        for task, each in data().items()
    }
    assert all(each.images.is_pinned() for each in kept.values())
    found = StreamLoader(kept, Stream, training, seed=0, device=gpu).batch(1)
    for stream, part in expected.items():
        torch.testing.assert_close(found[stream].images.cpu(), part.images)
