"""Streams: what a training step consumes, gathered from images that live on the device.

Which image comes when, and how it is augmented, depends on (protocol seed, seed, label budgets, stream,
step) and not on the method, so that all methods of a seed and a pair of budgets see the same images in the
same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mmbench.data.dataset import Dataset
from mmbench.data.subsets import labeled_rows, unlabeled_rows
from mmbench.methods.base import Batch, LabeledData, StreamBatch
from mmbench.networks.inputs import normalise
from mmbench.protocol.schema import Training
from mmbench.protocol.vocabulary import Budget, Stream, Task
from mmbench.randomness import derive_seed, generator
from mmbench.training.augmentation import Geometry, draw_geometry, gather, strong


@dataclass(frozen=True)
class TaskData:
    """One task's training images, on the device; in pinned host memory if the device has no room for them.

    Attributes
    ----------
    images : Tensor
        uint8, shape (N, S, S): every image of the source; ``labeled`` and ``unlabeled`` point into it.
    labels : Tensor or None
        int64, shape (N,); -1 where there is none.
    masks : Tensor or None
        uint8 in {0, 1}, shape (N, S, S).
    labeled, unlabeled : ndarray
        Rows, int64.
    """

    images: Tensor
    labels: Tensor | None
    masks: Tensor | None
    labeled: np.ndarray
    unlabeled: np.ndarray


def task_data(
    dataset: Dataset, task: Task, budget: Budget, *, seed: int, subset: int, device: torch.device
) -> TaskData:
    """Return a source's images on the device, with the rows that the budget and the subset label."""
    labels = masks = None
    if task is Task.CLASSIFICATION:
        values = dataset.cases["label"].fillna(-1).to_numpy(dtype=np.int64)
        labels = torch.from_numpy(values).to(device)
    else:
        assert dataset.masks is not None
        masks = _on_device(dataset.masks, device)
    return TaskData(
        images=_on_device(dataset.images, device),
        labels=labels,
        masks=masks,
        labeled=labeled_rows(dataset, task, budget, seed=seed, subset=subset),
        unlabeled=unlabeled_rows(dataset, task, budget, seed=seed, subset=subset),
    )


def labeled_data(data: Mapping[Task, TaskData]) -> LabeledData:
    """Return the labels and masks within the budgets, for :meth:`Method.start`."""
    classification, segmentation = data.get(Task.CLASSIFICATION), data.get(Task.SEGMENTATION)
    labels = masks = None
    if classification is not None and classification.labels is not None:
        labels = classification.labels[torch.from_numpy(classification.labeled)]
    if segmentation is not None and segmentation.masks is not None:
        masks = segmentation.masks[torch.from_numpy(segmentation.labeled)]
    return LabeledData(labels=labels, masks=masks)


class StreamLoader:
    """Makes the batches of a training.

    Parameters
    ----------
    data : mapping from Task to TaskData
        The sources.
    streams : iterable of Stream
        The streams that the method asks for; no other is built.
    training : Training
        Batch size and augmentation.
    seed : int
        The root of the random streams, :attr:`RunSpec.root_seed`.
    device : torch.device, optional
        Where the batches go; where the images are, when left out.
    """

    def __init__(
        self,
        data: Mapping[Task, TaskData],
        streams: Iterable[Stream],
        training: Training,
        *,
        seed: int,
        device: torch.device | None = None,
    ):
        self.data = data
        self.device = device or next(iter(data.values())).images.device
        self.streams = sorted(streams)
        self.training = training
        self.seed = seed
        self._orders: dict[tuple[Stream, int], np.ndarray] = {}

    def batch(self, step: int) -> Batch:
        """Return the batch of a step (from 0); any step can be asked for, in any order."""
        return {stream: self._stream_batch(stream, step) for stream in self.streams}

    def rows(self, stream: Stream, step: int) -> np.ndarray:
        """Return the rows of a stream's batch: successive slices of one permutation after another."""
        size = self.training.batch_size
        pool = self._pool(stream)
        positions = np.arange(step * size, (step + 1) * size)
        epochs = positions // len(pool)
        picked = [self._order(stream, int(e))[positions[epochs == e] % len(pool)] for e in np.unique(epochs)]
        return pool[np.concatenate(picked)]

    def _pool(self, stream: Stream) -> np.ndarray:
        data = self.data[stream.task]
        return data.labeled if stream.labeled else data.unlabeled

    def _order(self, stream: Stream, epoch: int) -> np.ndarray:
        key = (stream, epoch)
        if key not in self._orders:
            self._orders = {
                known: o for known, o in self._orders.items() if known[0] != stream or known[1] >= epoch - 1
            }
            random = generator(self.seed, "batch order", stream.value, epoch)
            self._orders[key] = random.permutation(len(self._pool(stream)))
        return self._orders[key]

    def _stream_batch(self, stream: Stream, step: int) -> StreamBatch:
        data = self.data[stream.task]
        augmentation = self.training.augmentation
        rows = torch.from_numpy(self.rows(stream, step))
        random = torch.Generator().manual_seed(derive_seed(self.seed, "augmentation", stream.value, step))
        side = data.images.shape[-1]
        geometry = None
        if stream.task is Task.CLASSIFICATION or augmentation.segmentation == "weak":
            geometry = draw_geometry(len(rows), side, random, augmentation)
        batch = StreamBatch(normalise(_take(data.images, rows, geometry, self.device)))
        if stream is Stream.LABELED_SEGMENTATION:
            assert data.masks is not None
            batch.masks = _take(data.masks, rows, geometry, self.device)[:, None].float()
        elif stream is Stream.LABELED_CLASSIFICATION:
            assert data.labels is not None
            batch.labels = data.labels[rows.to(self.device)]
        elif stream is Stream.UNLABELED_CLASSIFICATION:
            moved = draw_geometry(len(rows), side, random, augmentation)
            other = _take(data.images, rows, moved, self.device)
            batch.strong = normalise(strong(other, random, augmentation.strong))
        return batch


def split(batch: Batch, size: int) -> Iterator[tuple[Batch, float]]:
    """Yield a batch in parts of at most ``size`` images per stream, each with its share of the images."""
    count = max(len(part.images) for part in batch.values())
    for start in range(0, count, size):
        end = min(start + size, count)
        yield {stream: _cut(part, start, end) for stream, part in batch.items()}, (end - start) / count


def _cut(part: StreamBatch, start: int, end: int) -> StreamBatch:
    given = {name: values for name, values in vars(part).items() if values is not None}
    return replace(part, **{name: values[start:end] for name, values in given.items()})


def _take(images: Tensor, rows: Tensor, geometry: Geometry | None, device: torch.device) -> Tensor:
    """Return some images on the device, moved as the geometry says."""
    if images.device != device:
        picked = torch.empty(
            (len(rows), *images.shape[1:]), dtype=images.dtype, pin_memory=images.is_pinned()
        )
        images = torch.index_select(images, 0, rows, out=picked).to(device, non_blocking=True)
        rows = torch.arange(len(rows))
    rows = rows.to(device)
    return images[rows] if geometry is None else gather(images, rows, geometry)


def _on_device(array: np.ndarray, device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.from_numpy(array if array.flags.writeable else np.array(array))
    if has_room(array.nbytes, device):
        return torch.from_numpy(array).to(device)
    return torch.from_numpy(array).pin_memory()


def has_room(size: int, device: torch.device) -> bool:
    """Return whether that many bytes take less than half of a GPU's free memory; training needs the rest."""
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size <= free
