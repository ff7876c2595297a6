"""Named random streams: every random choice is derived by hashing what it is for.

Two choices that share a name and axis values are equal wherever and in whatever order they are made;
two that differ in any of them are independent.
"""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np


def derive_seed(seed: int, purpose: str, *axes: str | int | None) -> int:
    """Return a 63-bit seed for one purpose and one set of axis values.

    Parameters
    ----------
    seed : int
        The protocol's seed.
    purpose : str
        What the randomness is for, for example ``"label draw"``.
    *axes : str, int or None
        The values it may depend on, for example a dataset digest and a draw.

    Returns
    -------
    int
        In ``[0, 2**63)``, so that NumPy and torch both accept it.
    """
    text = json.dumps([seed, purpose, *axes])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *axes: str | int | None) -> np.random.Generator:
    """Return a NumPy generator seeded by :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(seed, purpose, *axes))


def seed_globally(seed: int) -> None:
    """Seed the global generators of torch, NumPy and Python, which a method may draw from."""
    import torch

    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # a method may use the global generator
