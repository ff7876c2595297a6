"""A method's own settings of training, in place of the protocol's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmbench.protocol.settings import Training

CHANGEABLE = ("unlabeled_ratio", "optimizer", "schedule", "clip", "ema", "swa", "swad", "augmentation")
"""What of a protocol's ``training`` a method may have of its own; steps, batch size, validations, precision
and compilation stay the protocol's."""


def changed_training(training: Training, own: Mapping[str, Any]) -> Training:
    """Return a protocol's training with a method's own settings in its place.

    Parameters
    ----------
    training : Training
        The protocol's.
    own : mapping
        Keys of ``training`` among :data:`CHANGEABLE`, nested as in a protocol file; what they leave out
        stays the protocol's. One of ``ema``, ``swa`` and ``swad`` stands in the others' place.

    Raises
    ------
    ValueError
        If a key is none of them; pydantic's ``ValidationError``, which is one, if a value is refused.
    """
    for key in own:
        if key not in CHANGEABLE:
            raise ValueError(
                f"{key!r} is no setting that a method may have; they are {', '.join(CHANGEABLE)}"
            )
    values = training.model_dump()
    if own.keys() & set(AVERAGES):
        values |= dict.fromkeys(AVERAGES)
    return Training.model_validate(_merged(values, own))


AVERAGES = ("ema", "swa", "swad")


def _merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, other in others.items():
        known = merged.get(key)
        merged[key] = (
            _merged(known, other) if isinstance(known, dict) and isinstance(other, Mapping) else other
        )
    return merged
