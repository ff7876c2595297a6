"""What a step consumes: the streams' images, their views, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mmbench.errors import PluginError
from mmbench.protocol.vocabulary import Stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Views:
    """The augmented copies that a method asks for of a stream's images.

    Attributes
    ----------
    weak : int
        Weak views, each flipped and cropped anew; labels and masks belong to each image's first one. Images
        of segmentation streams are moved only where the protocol says so.
    strong : int
        Strong views, RandAugment on top of a weak one.
    aligned : bool
        Whether strong views keep the pixels of the first weak view where they are, so that what is known of
        one pixel holds in both: its flip and crop, and operations that change intensities alone. Those of
        segmentation streams always do.
    cutmix : float
        Probability in [0, 1] that an image of a strong view gets a box of another image; the boxes are drawn
        for each strong view, and pasted by the method (:class:`CutMix`).
    """

    weak: int = 1
    strong: int = 0
    aligned: bool = False
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.weak < 1 or self.strong < 0 or not 0 <= self.cutmix <= 1:
            raise PluginError(f"{self}: a stream has a weak view, and cutmix is a probability")
        if self.cutmix and not self.strong:
            raise PluginError(f"{self}: boxes are drawn for strong views; ask for one")


@dataclass(frozen=True)
class CutMix:
    """Boxes, and the images of the same batch that fill them (Yun et al. 2019, arXiv:1905.04899).

    Attributes
    ----------
    boxes : Tensor
        bool, shape (N, 1, H, W): where the partner's pixels come; nowhere for images without a box.
    partners : Tensor
        int64, shape (N,): the index of each image's partner, another image of the batch.
    """

    boxes: Tensor
    partners: Tensor

    def paste(self, values: Tensor) -> Tensor:
        """Return values of each pixel with the partners' values in the boxes.

        Parameters
        ----------
        values : Tensor
            Shape (N, C, H, W): images, or anything computed from them, such as pseudo-labels.
        """
        import torch

        return torch.where(self.boxes, values[self.partners], values)

    def part(self, start: int, end: int) -> CutMix:
        """Return the boxes of some images; partners beyond them are replaced by ones among them."""
        return CutMix(self.boxes[start:end], (self.partners[start:end] - start) % (end - start))


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a view come from.

    Attributes
    ----------
    rows, columns : Tensor
        int64 on the CPU, shape (N, S): the source row of each row, the source column of each column.
    """

    rows: Tensor
    columns: Tensor

    def move(self, values: Tensor) -> Tensor:
        """Return values of each pixel, shape (N, C, S, S), moved as the view was."""
        rows = self.rows.to(values.device)[:, None, :, None].expand_as(values)
        columns = self.columns.to(values.device)[:, None, None, :].expand_as(values)
        return values.gather(2, rows).gather(3, columns)

    def part(self, start: int, end: int) -> Geometry:
        """Return the geometry of some of the images."""
        return Geometry(self.rows[start:end], self.columns[start:end])


class Pool(Protocol):
    """All the images that a stream draws from, for a look at the whole of them."""

    def __len__(self) -> int:
        """Return the number of images."""

    def batches(self) -> Iterator[StreamBatch]:
        """Yield every image once, unaugmented, in the order of ``rows``, with its label or mask if any."""


class StreamBatch:
    """One stream's share of a step. Images are float32 in [-1, 1], shape (N, 1, H, W).

    What a stream does not have cannot be asked for: it raises an error that says so.

    Attributes
    ----------
    images : Tensor
        The first weak view: flipped and cropped in classification streams, as the protocol says in
        segmentation streams.
    weak : tuple of Tensor
        Every weak view, ``images`` first.
    strong : tuple of Tensor
        The strong views that the method's ``views`` ask for.
    cutmix : tuple of CutMix
        Boxes for each strong view, where the method's ``views`` ask for them.
    rows : Tensor
        int64, shape (N,): each image's index in the pool that the stream draws from.
    geometry : Geometry
        How ``images`` were flipped and cropped; see :meth:`move`.
    labels : Tensor
        Of ``labeled_classification``: int64, shape (N,).
    masks : Tensor
        Of ``labeled_segmentation``: float32 in {0, 1}, shape (N, structures, H, W), moved as ``images``.
    """

    images: Tensor
    weak: tuple[Tensor, ...]
    strong: tuple[Tensor, ...]
    cutmix: tuple[CutMix, ...]
    rows: Tensor
    geometry: Geometry
    labels: Tensor
    masks: Tensor

    def __init__(self, images: Tensor, **others: Any):
        self.images = images
        self.weak = (images,)
        vars(self).update(others)

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there; an AttributeError, so that hasattr and copying work.
        raise AbsentPartError(
            f"this stream's batch has no {name}, only {', '.join(vars(self))}; labels and masks belong to "
            "the labelled streams of their task, and strong views and cutmix are there where the method "
            "asks for them: views = {UNLABELED_CLASSIFICATION: Views(strong=1)}"
        )

    def move(self, values: Tensor) -> Tensor:
        """Return what is known of each pixel of the unaugmented images, moved as ``images`` were.

        Parameters
        ----------
        values : Tensor
            Shape (N, C, H, W), such as masks that :meth:`Method.begin_stage` computed.
        """
        return self.geometry.move(values) if "geometry" in vars(self) else values

    def replaced(self, images: Tensor) -> StreamBatch:
        """Return the same with other images in place of ``images``, the first weak view."""
        return StreamBatch(**{**vars(self), "images": images, "weak": (images, *self.weak[1:])})

    def part(self, start: int, end: int) -> StreamBatch:
        """Return what belongs to some of the images."""
        return StreamBatch(**{name: _cut(value, start, end) for name, value in vars(self).items()})


class AbsentPartError(PluginError, AttributeError):
    """A method reads what its stream's batch does not have."""


class Batch(dict[Stream, StreamBatch]):
    """A step's streams, those that the method declares.

    Parameters
    ----------
    streams : mapping from Stream to StreamBatch
        By name.
    step : int
        The step, counted from 1.
    """

    def __init__(self, streams: Mapping[Stream, StreamBatch], step: int = 1):
        super().__init__(streams)
        self.step = step

    def __missing__(self, stream: Stream) -> StreamBatch:
        raise AbsentStreamError(
            f"the batch has no {stream}, only {', '.join(self)}; name it in the method's streams"
        )

    def replaced(self, images: Mapping[Stream, Tensor]) -> Batch:
        """Return the same step with other images of some streams, such as ones in another style."""
        changed = {stream: self[stream].replaced(others) for stream, others in images.items()}
        return Batch({**self, **changed}, self.step)

    def split(self, size: int) -> Iterator[tuple[Batch, float]]:
        """Yield the batch in parts, each with its share of the images.

        Parameters
        ----------
        size : int
            Images of the smallest stream in a part; other streams are cut in proportion.
        """
        count = min(len(part.images) for part in self.values())
        for start in range(0, count, size):
            end = min(start + size, count)
            parts = {}
            for stream, part in self.items():
                images = len(part.images)
                parts[stream] = part.part(start * images // count, end * images // count)
            yield Batch(parts, self.step), (end - start) / count


class AbsentStreamError(PluginError, KeyError):
    """A method reads a stream that it does not declare."""

    __str__ = PluginError.__str__


def _cut(value: Any, start: int, end: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_cut(one, start, end) for one in value)
    if isinstance(value, (CutMix, Geometry)):
        return value.part(start, end)
    return value[start:end]
