"""Made-up batches, and methods that are built and started on made-up data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmbench.errors import PluginError
from mmbench.methods.base import LabeledData, Method, Problem
from mmbench.methods.batch import Batch, CutMix, Pool, StreamBatch, Views
from mmbench.networks.initialisation import build_by_name
from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Stream, Task

Built = TypeVar("Built", bound=Method)

IMAGES = 4
SIDE = 32
BACKBONES = (Backbone(width=0.25), Backbone(width=0.25, norm="batch"))
"""What a method is tried on: the first one that it does not refuse."""


def example_batch(
    streams: set[Stream],
    side: int = SIDE,
    views: Mapping[Stream, Views] | None = None,
    *,
    classes: int = 2,
    structures: int = 1,
) -> Batch:
    """Return a made-up batch of four images per stream, the same on every call."""
    random = torch.Generator().manual_seed(0)

    def images() -> Tensor:
        return torch.rand(IMAGES, 1, side, side, generator=random) * 2 - 1

    every = {}
    for stream in Stream:
        part, asked = StreamBatch(images(), rows=torch.arange(IMAGES)), (views or {}).get(stream, Views())
        part.weak += tuple(images() for _ in range(asked.weak - 1))
        if stream is Stream.LABELED_CLASSIFICATION:
            part.labels = torch.tensor([0, 1, classes - 1, 0])
        elif stream is Stream.LABELED_SEGMENTATION:
            part.masks = torch.cat([(images() > 0).float() for _ in range(structures)], 1)
        if asked.strong:
            part.strong = tuple(images() for _ in range(asked.strong))
        if asked.cutmix:
            partners = torch.arange(1, IMAGES + 1) % IMAGES
            part.cutmix = tuple(CutMix(images() > 0.5, partners) for _ in range(asked.strong))
        every[stream] = part
    return Batch({stream: part for stream, part in every.items() if stream in streams})


def example_pools(batch: Batch) -> dict[Stream, Pool]:
    """Return pools that hold a batch's images, for :meth:`Method.begin_stage`."""
    return {stream: _ExamplePool(part) for stream, part in batch.items()}


@dataclass(frozen=True)
class _ExamplePool:
    part: StreamBatch

    def __len__(self) -> int:
        return len(self.part.images)

    def batches(self) -> Iterator[StreamBatch]:
        yield self.part


def example_problem(
    cls: type[Method],
    side: int = SIDE,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
    *,
    steps: int = 1000,
) -> Problem:
    """Return a problem that a method does not refuse.

    Raises
    ------
    PluginError
        If it refuses every one; the message has its reason for the first.
    """
    problems = [
        Problem(
            frozenset(cls.tasks),
            backbone,
            side,
            classes=classes,
            structures=structures,
            steps=steps,
            batch_size=IMAGES,
            unlabeled_batch_size=IMAGES,
        )
        for backbone in BACKBONES
    ]
    for problem in problems:
        if cls.skip(problem) is None:
            return problem
    raise PluginError(f"skip refuses to run: {cls.skip(problems[0])}")


def built_on(cls: type[Built], values: dict[str, Any], problem: Problem, seed: int = 0) -> Built:
    """Return a method built as the engine builds it, each layer's weights drawn by its name."""

    def build() -> Built:
        method = cls(cls.Hyperparameters.model_validate(values))
        method.build(problem)
        return method

    return build_by_name(build, lambda method: method.modules(), seed)


def built(
    cls: type[Built],
    hyperparameters: dict[str, Any],
    side: int = SIDE,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
) -> Built:
    """Return a method built on a narrow network and started, ready for its first step."""
    method = built_on(cls, hyperparameters, example_problem(cls, side, classes, structures))
    batch = example_batch(set(Stream), side, classes=len(classes), structures=len(structures))
    masks = batch[Stream.LABELED_SEGMENTATION].masks
    method.start(
        LabeledData(
            labels=batch[Stream.LABELED_CLASSIFICATION].labels if Task.CLASSIFICATION in cls.tasks else None,
            masks=masks.to(torch.uint8) if Task.SEGMENTATION in cls.tasks else None,
            pool_sizes=dict.fromkeys(cls.streams, IMAGES),
        )
    )
    return method


def parameters(method: Method) -> list[torch.nn.Parameter]:
    """Return the weights of a method's modules."""
    return [p for module in method.modules().values() for p in module.parameters()]
