"""Masks and pixel probabilities as they are stored: bits at a threshold, whole numbers of 8 or 16 bits.

A threshold t is rounded up to a multiple of 2**-16 and a probability p down to one, so that
floor(65536 p) >= ceil(65536 t) decides. A mask made when predicting and one made later from stored 16-bit
probabilities are therefore the same to the pixel, whatever the threshold.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from mmbench.errors import StoreError
from mmbench.protocol.specs import PredictionsSpec, ScoresSpec
from mmbench.store.layer import fix_hint
from mmbench.store.missing import PROBABILITY_CONTENT, mask_content, scored_content
from mmbench.store.store import MASKS

if TYPE_CHECKING:
    from mmbench.store.store import ResultStore

TRUTH = "truth"
LEVELS = 2**16


def at_threshold(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels that belong to the mask.

    Parameters
    ----------
    probabilities : ndarray
        Float in [0, 1] as predicted, or uint8 or uint16 as stored, any shape.
    threshold : float
        In [0, 1].

    Returns
    -------
    ndarray
        bool, the same shape.
    """
    # A probability of 1 is stored as 65535 / 65536, the largest number of 16 bits.
    least = min(math.ceil(LEVELS * threshold), LEVELS - 1)
    if probabilities.dtype == np.uint8:
        whole: np.ndarray = probabilities.astype(np.uint16) * 256
    elif probabilities.dtype == np.uint16:
        whole = probabilities
    else:
        # Multiplied by a power of two, a float keeps its digits.
        whole = np.floor(probabilities * probabilities.dtype.type(LEVELS))
    inside: np.ndarray = whole >= least
    return inside


def quantise(probabilities: np.ndarray, bits: int) -> np.ndarray:
    """Return floor(2**bits p), at most 2**bits - 1, as uint8 or uint16."""
    levels = 2**bits
    whole: np.ndarray = np.minimum(np.floor(probabilities.astype(np.float64) * levels), levels - 1)
    return whole.astype(np.uint8 if bits == 8 else np.uint16)


def pack(masks: np.ndarray) -> np.ndarray:
    """Return masks (N, structures, S, S) as one row of bits per case, uint8."""
    return np.packbits(masks.reshape(len(masks), -1), axis=1)


def unpack(bits: np.ndarray, side: int, structures: int = 1) -> np.ndarray:
    """Return the masks that :func:`pack` packed, bool of shape (N, structures, S, S)."""
    pixels = np.unpackbits(bits, axis=1, count=structures * side * side)
    masks: np.ndarray = pixels.reshape(len(bits), structures, side, side).astype(bool)
    return masks


def array_digest(array: np.ndarray) -> str:
    """Return the sha256 of an array's type, shape and values."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def predicted_masks(store: ResultStore, spec: ScoresSpec) -> np.ndarray:
    """Return a run's predicted masks at a policy's threshold, bool of shape (N, structures, S, S).

    Raises
    ------
    StoreError
        If they are not there or do not match their checksum.
    """
    id, side = spec.predictions.id, spec.predictions.image_size
    structures = len(spec.predictions.domain.structures)
    name = scored_content(store.predictions.content(id), spec)
    if name is None:
        raise StoreError(
            f"{store.predictions.folder(id)}: holds no masks at the threshold "
            f"{spec.policy.mask_threshold:g}; make them with: mmbench run PROTOCOL --results {store.root}"
        )
    arrays = store.predictions.arrays(id, MASKS)
    if name not in arrays:
        raise StoreError(f"{store.predictions.folder(id)}: holds no {name}; {fix_hint(store.root)}")
    if name == PROBABILITY_CONTENT:
        inside = at_threshold(arrays[name], spec.policy.mask_threshold)
        return inside.reshape(-1, structures, side, side)
    return unpack(arrays[name], side, structures)


def true_masks(store: ResultStore, spec: PredictionsSpec) -> np.ndarray:
    """Return the reference masks of a domain's cases, bool of shape (N, structures, S, S)."""
    truth = store.ground_truth.arrays(spec.ground_truth, MASKS)[TRUTH]
    return unpack(truth, spec.image_size, len(spec.domain.structures))


def mask_arrays(probabilities: np.ndarray, thresholds: list[float], bits: int) -> dict[str, np.ndarray]:
    """Return the arrays to store of predicted probabilities: masks, and probabilities if asked.

    Parameters
    ----------
    probabilities : ndarray
        float32 in [0, 1], shape (N, structures, S, S).
    thresholds : list of float
        One array of packed masks each.
    bits : int
        Of a stored probability; 0 stores none.
    """
    found = {
        mask_content(threshold): pack(at_threshold(probabilities, threshold)) for threshold in thresholds
    }
    if probabilities.shape[1] == 1:
        # Stored without that axis, as before there were several structures.
        probabilities = probabilities[:, 0]
    return found | ({PROBABILITY_CONTENT: quantise(probabilities, bits)} if bits else {})
