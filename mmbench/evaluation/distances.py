"""Distances between the surfaces of two binary masks.

The definitions are MONAI's, so that the numbers agree with ``monai.metrics``:

* The surface of a mask is its pixels with at least one of four neighbours outside the mask (the mask
  minus its binary erosion by a cross). What lies beyond the image is outside every mask, so a mask that
  touches the image's border has its border pixels in its surface, and a mask that fills the image has
  the image's frame.
* The distance of a surface pixel is Euclidean, between pixel centres, to the nearest surface pixel of
  the other mask.
* HD is the larger of the two directed maxima; HD95 the larger of the two directed 95th percentiles, with
  linear interpolation; ASSD the mean over both surfaces' pixels pooled (not the mean of two means).
* NSD is the share of both surfaces' pixels within the tolerance, the tolerance included. A surface's
  length is its number of pixels (MONAI's ``use_subvoxels=False``).

Both masks empty is perfect agreement: distances 0, NSD 1. Exactly one empty: NSD 0 and every distance
the image's diagonal (``empty_distance: diagonal``), an upper bound of any distance in the image, so that
predicting nothing never improves a mean; or NaN (``empty_distance: nan``).
"""

from __future__ import annotations

import math

import numpy as np

from mmbench.protocol.schema import MetricPolicy

SURFACE_METRICS = ("hausdorff", "hd95", "assd", "nsd")


def surface(mask: np.ndarray, neighbours: int = 4) -> np.ndarray:
    """Return the surface of a mask, see the module's definition.

    Parameters
    ----------
    mask : ndarray
        bool, shape (H, W).
    neighbours : int
        4, or 8 to count pixels that touch the outside at a corner, too.

    Returns
    -------
    ndarray
        bool, shape (H, W).
    """
    # A pixel of the image's frame has a neighbour beyond the image, so it stays in the surface; of the others
    # those go whose neighbours are all in the mask.
    edges = mask.copy()
    if min(mask.shape) > 2:
        enclosed = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        if neighbours == 8:
            enclosed &= mask[:-2, :-2] & mask[:-2, 2:] & mask[2:, :-2] & mask[2:, 2:]
        edges[1:-1, 1:-1] &= ~enclosed
    return edges


def directed_distances(
    one: np.ndarray, other: np.ndarray, neighbours: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances from each mask's surface to the other's.

    Parameters
    ----------
    one, other : ndarray
        bool, the same shape (H, W), neither empty.
    neighbours : int
        As for :func:`surface`.

    Returns
    -------
    tuple of ndarray
        In pixels, float64, one value for each surface pixel of ``one`` and of ``other``.
    """
    # Over the few surface pixels, a k-d tree is several times faster than a distance transform.
    from scipy.spatial import cKDTree

    box = bounding_box(one | other)
    surfaces = surface(one[box], neighbours), surface(other[box], neighbours)
    # A pixel of both surfaces has distance 0 without a search; good predictions share most of theirs.
    shared = surfaces[0] & surfaces[1]
    zeros = np.zeros(np.count_nonzero(shared))
    points = [_coordinates(edges) for edges in surfaces]
    found = []
    for this, that in ((0, 1), (1, 0)):
        queries = _coordinates(surfaces[this] & ~shared)
        if len(queries) == 0:
            found.append(zeros)
            continue
        tree = cKDTree(points[that], balanced_tree=False, compact_nodes=False)
        found.append(np.concatenate([zeros, tree.query(queries)[0]]))
    return found[0], found[1]


def surface_scores(
    prediction: np.ndarray, truth: np.ndarray, policy: MetricPolicy, neighbours: int = 4
) -> dict[str, float]:
    """Return HD, HD95, ASSD and NSD of one case.

    Parameters
    ----------
    prediction, truth : ndarray
        bool, the same shape (H, W).
    policy : MetricPolicy
        Spacing, NSD tolerance and the rule for empty masks.
    neighbours : int
        As for :func:`surface`.

    Returns
    -------
    dict of str to float
        ``hausdorff``, ``hd95``, ``assd`` in units of the spacing, ``nsd`` in [0, 1].
    """
    # With D1 and D2 the distances from each surface to the other, in pixels, h the spacing, P the 95th
    # percentile: HD = h max(D1 u D2), HD95 = h max(P(D1), P(D2)), ASSD = h mean(D1 u D2),
    # NSD = share of D1 u D2 with h D <= tolerance.
    filled = bool(prediction.any()), bool(truth.any())
    if not any(filled):
        return dict(zip(SURFACE_METRICS, (0.0, 0.0, 0.0, 1.0), strict=True))
    if not all(filled):
        diagonal = policy.spacing * math.hypot(*truth.shape)
        undefined = diagonal if policy.empty_distance == "diagonal" else math.nan
        return dict(zip(SURFACE_METRICS, (undefined, undefined, undefined, 0.0), strict=True))
    there, back = directed_distances(prediction, truth, neighbours)
    pooled = np.concatenate([there, back])
    # Squared pixel distances are whole numbers: the slack only undoes rounding in tolerance / spacing.
    within = pooled <= policy.nsd_tolerance / policy.spacing * (1 + 1e-12)
    return {
        "hausdorff": policy.spacing * float(pooled.max()),
        "hd95": policy.spacing * max(_percentile95(there), _percentile95(back)),
        "assd": policy.spacing * float(pooled.mean()),
        "nsd": float(within.mean()),
    }


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that a mask occupies; the mask is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _coordinates(edges: np.ndarray) -> np.ndarray:
    rows, columns = np.divmod(np.flatnonzero(edges), edges.shape[1])
    return np.stack([rows, columns], axis=1).astype(np.float64)


def _percentile95(distances: np.ndarray) -> float:
    # np.percentile, which costs ten times as much: the value at position 0.95 (n - 1) of the sorted
    # distances, interpolated linearly. A partition puts the two values needed into their places.
    position = 0.95 * (len(distances) - 1)
    below = int(position)
    above = min(below + 1, len(distances) - 1)
    ordered = np.partition(distances, (below, above))
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))
