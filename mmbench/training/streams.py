"""Streams: what a training step consumes, gathered from images that live on the device.

Which image comes when, and how it is augmented, depends on (protocol seed, seed, label budgets, stream,
step) and not on the method, so that all methods of a seed and a pair of budgets see the same images in the
same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmbench.data.dataset import Dataset
from mmbench.data.subsets import labeled_rows, unlabeled_rows
from mmbench.methods.base import LabeledData
from mmbench.methods.batch import Batch, CutMix, Geometry, StreamBatch, Views
from mmbench.networks.inputs import normalise
from mmbench.protocol.schema import Training
from mmbench.protocol.vocabulary import Budget, Stream, Task
from mmbench.randomness import derive_seed, generator
from mmbench.training.augmentation import draw_boxes, draw_geometry, gather, strong

POOL_BATCH = 64
"""Images of a batch where a method looks at a whole pool."""


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
        uint8 in {0, 1}, shape (N, structures, S, S).
    labeled, unlabeled : ndarray
        Rows, int64.
    target_images : Tensor or None
        uint8, shape (K, S, S): what a method may see of the targets.
    """

    images: Tensor
    labels: Tensor | None
    masks: Tensor | None
    labeled: np.ndarray
    unlabeled: np.ndarray
    target_images: Tensor | None = None

    def images_of(self, stream: Stream) -> Tensor:
        """Return the images that a stream's rows point into."""
        if not stream.target:
            return self.images
        assert self.target_images is not None
        return self.target_images

    def pool(self, stream: Stream) -> np.ndarray:
        """Return the rows that a stream draws from."""
        if stream.target:
            return np.arange(len(self.images_of(stream)))
        return self.labeled if stream.labeled else self.unlabeled


def task_data(
    dataset: Dataset,
    task: Task,
    budget: Budget,
    *,
    seed: int,
    subset: int,
    device: torch.device,
    targets: Sequence[Dataset] = (),
) -> TaskData:
    """Return a source's images on the device, with the rows that the budget and the subset label.

    Of ``targets``, the images of the training parts are taken, with and without labels.
    """
    labels = masks = None
    seen = [target.images[target.part_rows("train")] for target in targets]
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
        target_images=_on_device(np.concatenate(seen), device) if seen else None,
    )


def labeled_data(data: Mapping[Task, TaskData], streams: Iterable[Stream] = ()) -> LabeledData:
    """Return the labels and masks within the budgets and the streams' sizes, for :meth:`Method.start`."""
    classification, segmentation = data.get(Task.CLASSIFICATION), data.get(Task.SEGMENTATION)
    labels = masks = None
    if classification is not None and classification.labels is not None:
        labels = classification.labels[torch.from_numpy(classification.labeled)]
    if segmentation is not None and segmentation.masks is not None:
        masks = segmentation.masks[torch.from_numpy(segmentation.labeled)]
    sizes = {stream: len(data[stream.task].pool(stream)) for stream in sorted(streams)}
    return LabeledData(labels=labels, masks=masks, pool_sizes=sizes)


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
    views : mapping from Stream to Views, optional
        The views that the method asks for; one weak view where it says nothing.
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
        views: Mapping[Stream, Views] | None = None,
        device: torch.device | None = None,
    ):
        self.data = data
        self.device = device or next(iter(data.values())).images.device
        self.streams = sorted(streams)
        self.training = training
        self.seed = seed
        self.views = views or {}
        self._orders: dict[tuple[Stream, int], np.ndarray] = {}

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 1; any step can be asked for, in any order."""
        return Batch({stream: self._stream_batch(stream, step) for stream in self.streams}, step)

    def positions(self, stream: Stream, step: int) -> np.ndarray:
        """Return the places in its pool of a stream's batch: slices of one permutation after another."""
        size, count = self.training.images_of(stream), len(self.data[stream.task].pool(stream))
        drawn = np.arange((step - 1) * size, step * size)
        epochs = drawn // count
        return np.concatenate(
            [self._order(stream, int(e))[drawn[epochs == e] % count] for e in np.unique(epochs)]
        )

    def pools(self) -> dict[Stream, StreamPool]:
        """Return everything that the streams draw from."""
        return {stream: StreamPool(self.data[stream.task], stream, self.device) for stream in self.streams}

    def _order(self, stream: Stream, epoch: int) -> np.ndarray:
        key = (stream, epoch)
        if key not in self._orders:
            self._orders = {
                known: o for known, o in self._orders.items() if known[0] != stream or known[1] >= epoch - 1
            }
            random = generator(self.seed, "batch order", stream.value, epoch)
            self._orders[key] = random.permutation(len(self.data[stream.task].pool(stream)))
        return self._orders[key]

    def _stream_batch(self, stream: Stream, step: int) -> StreamBatch:
        data, views = self.data[stream.task], self.views.get(stream, Views())
        positions = self.positions(stream, step)
        rows = torch.from_numpy(data.pool(stream)[positions])
        drawn = _Drawn(self, stream, step, data.images_of(stream), rows)
        images, geometry = drawn.weak(0)
        batch = StreamBatch(normalise(images), rows=torch.from_numpy(positions).to(self.device))
        if geometry is not None:
            batch.geometry = geometry
        batch.weak += tuple(normalise(drawn.weak(number)[0]) for number in range(1, views.weak))
        _add_truth(batch, stream, data, rows, geometry)
        if views.strong:
            aligned = images if views.aligned or stream.task is Task.SEGMENTATION else None
            batch.strong = tuple(normalise(drawn.strong(number, aligned)) for number in range(views.strong))
        if views.cutmix:
            batch.cutmix = tuple(drawn.boxes(number, views.cutmix) for number in range(views.strong))
        return batch


@dataclass(frozen=True)
class StreamPool:
    """All the images that a stream draws from: a :class:`mmbench.methods.Pool`."""

    data: TaskData
    stream: Stream
    device: torch.device

    def __len__(self) -> int:
        return len(self.data.pool(self.stream))

    def batches(self) -> Iterator[StreamBatch]:
        """Yield every image once, unaugmented."""
        every = self.data.pool(self.stream)
        for start in range(0, len(every), POOL_BATCH):
            rows = torch.from_numpy(every[start : start + POOL_BATCH])
            images = normalise(_take(self.data.images_of(self.stream), rows, None, self.device))
            batch = StreamBatch(images, rows=torch.arange(start, start + len(rows), device=self.device))
            _add_truth(batch, self.stream, self.data, rows, None)
            yield batch


def _add_truth(
    batch: StreamBatch, stream: Stream, data: TaskData, rows: Tensor, geometry: Geometry | None
) -> None:
    """Give a labelled stream's batch its labels or masks."""
    device = batch.images.device
    if stream is Stream.LABELED_SEGMENTATION:
        assert data.masks is not None
        batch.masks = _take_masks(data.masks, rows, geometry, device).float()
    elif stream is Stream.LABELED_CLASSIFICATION:
        assert data.labels is not None
        batch.labels = data.labels[rows.to(device)]


class _Drawn:
    """The views of one stream in one step.

    Each has random numbers of its own, so that none depends on which others a method asks for.
    """

    def __init__(self, loader: StreamLoader, stream: Stream, step: int, images: Tensor, rows: Tensor):
        self._loader = loader
        self._stream = stream
        self._step = step
        self._images = images
        self._rows = rows
        self._augmentation = loader.training.augmentation
        # The first weak view and the first strong view with a geometry of its own share one generator.
        self._first = self._generator()
        self._moves = stream.task is Task.CLASSIFICATION or self._augmentation.segmentation == "weak"
        self._first_geometry = self._geometry(self._first) if self._moves else None

    def weak(self, number: int) -> tuple[Tensor, Geometry | None]:
        """Return a weak view, uint8, and how it was moved."""
        geometry = self._first_geometry
        if number and self._moves:
            geometry = self._geometry(self._generator("weak", number))
        return self._take(geometry), geometry

    def strong(self, number: int, aligned: Tensor | None) -> Tensor:
        """Return a strong view, uint8: of a weak view that keeps its pixels' places, or of one of its own."""
        settings = self._augmentation.strong
        if aligned is not None:
            return strong(aligned, self._generator("aligned", number), settings, intensities=True)
        random = self._first if number == 0 else self._generator("strong", number)
        return strong(self._take(self._geometry(random)), random, settings)

    def boxes(self, number: int, probability: float) -> CutMix:
        """Return boxes for a strong view, and the images that fill them."""
        random = self._generator("cutmix", number)
        count, device = len(self._rows), self._loader.device
        boxes = draw_boxes(count, self._images.shape[-1], probability, random)
        # Moved on by a number of places drawn once, so that no image is its own partner.
        moved = int(torch.randint(1, max(2, count), (), generator=random))
        partners = (torch.arange(count) + moved) % count
        return CutMix(boxes[:, None].to(device), partners.to(device))

    def _generator(self, *view: str | int) -> torch.Generator:
        seed = derive_seed(self._loader.seed, "augmentation", self._stream.value, self._step - 1, *view)
        return torch.Generator().manual_seed(seed)

    def _geometry(self, random: torch.Generator) -> Geometry:
        return draw_geometry(len(self._rows), self._images.shape[-1], random, self._augmentation)

    def _take(self, geometry: Geometry | None) -> Tensor:
        return _take(self._images, self._rows, geometry, self._loader.device)


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


def _take_masks(masks: Tensor, rows: Tensor, geometry: Geometry | None, device: torch.device) -> Tensor:
    """Return some images' masks, (N, structures, S, S), each moved as its image is."""
    count = masks.shape[1]
    planes = (rows[:, None] * count + torch.arange(count)).flatten()
    if geometry is not None:
        repeated = (places.repeat_interleave(count, 0) for places in (geometry.rows, geometry.columns))
        geometry = Geometry(*repeated)
    taken = _take(masks.flatten(0, 1), planes, geometry, device)
    return taken.unflatten(0, (len(rows), count))


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
