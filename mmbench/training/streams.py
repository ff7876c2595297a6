"""Streams: what a training step consumes, gathered from images that live on the device.

Which image comes when, and how it is augmented, depends on (protocol seed, seed, stream, step) and not
on the method, so that all methods of a block see the same images in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmbench.data.dataset import Dataset
from mmbench.data.draws import labeled_rows, unlabeled_rows
from mmbench.methods.base import Batch, LabeledData, StreamBatch
from mmbench.networks.inputs import normalise
from mmbench.protocol.schema import Training
from mmbench.protocol.vocabulary import Budget, Stream, Task
from mmbench.randomness import derive_seed, generator
from mmbench.training.augmentation import Geometry, draw_geometry, gather, strong


@dataclass(frozen=True)
class TaskData:
    """One task's training images, on the device.

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
    dataset: Dataset, task: Task, budget: Budget, *, seed: int, draw: int, device: torch.device
) -> TaskData:
    """Return a source's images on the device, with the rows that the budget and the draw label."""
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
        labeled=labeled_rows(dataset, task, budget, seed=seed, draw=draw),
        unlabeled=unlabeled_rows(dataset, task, budget, seed=seed, draw=draw),
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
    protocol_seed, seed : int
        The random streams' root and the cell's seed.
    """

    def __init__(
        self,
        data: Mapping[Task, TaskData],
        streams: Iterable[Stream],
        training: Training,
        *,
        protocol_seed: int,
        seed: int,
    ):
        self.data = data
        self.streams = sorted(streams)
        self.training = training
        self.protocol_seed = protocol_seed
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
            random = generator(self.protocol_seed, "batch order", stream.value, self.seed, epoch)
            self._orders[key] = random.permutation(len(self._pool(stream)))
        return self._orders[key]

    def _stream_batch(self, stream: Stream, step: int) -> StreamBatch:
        data = self.data[stream.task]
        augmentation = self.training.augmentation
        rows = torch.from_numpy(self.rows(stream, step)).to(data.images.device)
        random = torch.Generator().manual_seed(
            derive_seed(self.protocol_seed, "augmentation", stream.value, self.seed, step)
        )
        side = data.images.shape[-1]
        geometry = None
        if stream.task is Task.CLASSIFICATION or augmentation.segmentation == "weak":
            geometry = draw_geometry(len(rows), side, random, augmentation)
        batch = StreamBatch(normalise(_take(data.images, rows, geometry)))
        if stream is Stream.LABELED_SEGMENTATION:
            assert data.masks is not None
            batch.masks = _take(data.masks, rows, geometry)[:, None].float()
        elif stream is Stream.LABELED_CLASSIFICATION:
            assert data.labels is not None
            batch.labels = data.labels[rows]
        elif stream is Stream.UNLABELED_CLASSIFICATION:
            other = gather(data.images, rows, draw_geometry(len(rows), side, random, augmentation))
            batch.strong = normalise(strong(other, random, augmentation.strong))
        return batch


def _take(images: Tensor, rows: Tensor, geometry: Geometry | None) -> Tensor:
    return images[rows] if geometry is None else gather(images, rows, geometry)


def _on_device(array: np.ndarray, device: torch.device) -> Tensor:
    if not array.flags.writeable and device.type == "cpu":
        array = np.array(array)
    return torch.from_numpy(array).to(device)
