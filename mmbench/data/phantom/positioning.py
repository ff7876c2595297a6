"""How a patient is placed before the detector: projection, breath, size, shift, rotation, collimation."""

from __future__ import annotations

import numpy as np

from mmbench.data.phantom.anatomy import Pose
from mmbench.data.phantom.dials import Dials
from mmbench.data.phantom.fields import Draws, Field, ramp

DRAWS = (
    "projection", "breath", "angle", "shift x", "shift y", "size", "aspect",
    "band left", "band right", "band top", "band bottom", "band angle", "banded",
)  # fmt: skip


def pixel_grid(size: int) -> tuple[Field, Field]:
    """Return the centres of the pixels, from -1 to 1, as arrays of shape (1, 1, S) and (1, S, 1)."""
    centers = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
    return centers[None, None, :], centers[None, :, None]


def build_pose(draws: Draws, dials: Dials) -> Pose:
    """Return projection and breath of each image."""
    ap = (draws.uniform("projection") < dials.ap_share).astype(np.float32)
    return Pose(ap=ap, breath=draws.normal("breath"))


def body_coordinates(size: int, draws: Draws, dials: Dials) -> tuple[Field, Field]:
    """Return where in the body each pixel looks, two arrays of shape (B, S, S)."""
    u, v = pixel_grid(size)
    spread = np.float32(dials.positioning)
    zoom = np.float32(dials.magnification * 1.1) * np.exp(np.float32(0.045) * spread * draws.normal("size"))
    aspect = np.exp(np.float32(0.035) * spread * draws.normal("aspect"))
    angle = np.float32(np.pi / 180 * dials.rotation) * draws.normal("angle")
    u = u - np.float32(0.04) * spread * draws.normal("shift x")
    v = v - np.float32(0.045) * spread * draws.normal("shift y") - np.float32(0.04)
    cos, sin = np.cos(angle), np.sin(angle)
    x = (cos * u + sin * v) / (zoom * aspect)
    y = (cos * v - sin * u) / (zoom / aspect)
    return x, y


def exposed_field(size: int, draws: Draws, dials: Dials) -> Field:
    """Return 1 where radiation reaches the detector and 0 under the collimator, shape (B, S, S)."""
    u, v = pixel_grid(size)
    angle = np.float32(0.025) * draws.normal("band angle")
    u, v = u + angle * v, v - angle * u
    reach = np.float32(dials.collimation)
    soft = 2.0 / size
    used = draws.uniform("banded") < 0.25 + 0.75 * reach
    exposed: Field = np.ones((1, 1, 1), np.float32)
    for edge, position, depth in (
        ("left", -u, 0.16), ("right", u, 0.16), ("top", -v, 0.12), ("bottom", v, 0.34)
    ):  # fmt: skip
        share = np.clip(2.0 * draws.uniform(f"band {edge}") - 1.0, 0, 1)
        band = np.where(used, np.float32(depth) * reach * share, 0)
        edge_margin = np.where(band > 0, 1 - 2 * band - position, np.float32(1))
        exposed = exposed * ramp(edge_margin, soft)
    return exposed.astype(np.float32)
