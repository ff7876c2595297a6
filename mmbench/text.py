"""Wording that every room shares."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, for example ``1 run`` or ``3 runs``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
