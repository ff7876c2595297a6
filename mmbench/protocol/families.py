"""Families of methods: what kind of help a method has beside labels."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from mmbench.protocol.vocabulary import Stream, Task

FAMILIES = {
    "supervised": "labels alone",
    "foundation": "labels alone, on a pretrained encoder",
    "semi-supervised-classification": "unlabelled source images for classes",
    "semi-supervised-segmentation": "unlabelled source images for masks",
    "semi-supervised": "unlabelled source images for both tasks",
    "multitask": "labels alone, with the two tasks balanced",
    "domain-generalization": "labels alone, made to hold up in other domains",
    "domain-adaptation": "unlabelled images of the targets",
    "test-time-adaptation": "the images that it predicts",
    "trivial": "constant predictors",
}
"""Every built-in family and what its methods see; plugins may name others."""


class Declared(Protocol):
    """What a method's class says of itself."""

    family: str
    tasks: set[Task]
    streams: set[Stream]
    trivial: bool
    adaptation: object | None


def family_of(method: type[Declared]) -> str:
    """Return the family that a method names, or that follows from what it sees."""
    if method.trivial:
        return "trivial"
    if method.family:
        return method.family
    if method.adaptation is not None:
        return "test-time-adaptation"
    if any(stream.target for stream in method.streams):
        return "domain-adaptation"
    unlabeled = {stream.task for stream in method.streams if not stream.labeled}
    if not unlabeled:
        return "supervised"
    return "semi-supervised" if len(unlabeled) > 1 else f"semi-supervised-{unlabeled.pop().value}"


def seen_by(
    streams: Collection[Stream], *, trivial: bool = False, adapts: bool = False, pretrained: bool = False
) -> list[str]:
    """Return what a row's numbers rest on beside the network, in words.

    Parameters
    ----------
    streams : collection of Stream
        What its training consumes.
    trivial : bool
        Whether it is a constant predictor, which counts labels and sees no image.
    adapts : bool
        Whether it adapts to the images that it predicts.
    pretrained : bool
        Whether its network starts from the weights of another training.
    """
    if trivial:
        return ["labels"]
    found = ["pretrained weights"] * pretrained
    labeled = [stream for stream in streams if stream.labeled]
    source = [stream for stream in streams if not stream.labeled and not stream.target]
    target = [stream for stream in streams if stream.target]
    for group, words in ((labeled, "labels"), (source, "unlabelled images"), (target, "target images")):
        tasks = sorted(stream.task.value for stream in group)
        if tasks:
            found.append(f"{words} ({' and '.join(tasks)})")
    return found + ["the tested images"] * adapts
