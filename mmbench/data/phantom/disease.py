"""Pneumonia: lobar consolidation with or without effusion, or a diffuse interstitial pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.data.phantom.anatomy import Chest
from mmbench.data.phantom.fields import Draws, Field, ellipse, ramp

FOCI = 3
_FOCUS_FROM = (0.0, 0.4, 0.6)
_FOCUS_SIZE = (1.0, 0.75, 0.6)
DRAWS = (
    "diseased", "kind", "grade", "effusion", "effusion side", "fissure", "perihilar",
    "plate", "plate side", "plate place", "plate slope", "plate width", "nodule", "nodule side",
    "nodule across", "nodule along", "nodule size", "crowding", "crowding grain", "haze", "haze side",
    *(f"{what} {k}" for k in range(FOCI) for what in ("side", "across", "along", "size", "shape", "lobar")),
)  # fmt: skip


@dataclass(frozen=True)
class Opacity:
    """What disease changes; fields of shape (B, S, S)."""

    filled: Field
    """Fraction of the lung's air replaced by fluid, 0 to 1."""
    strands: Field
    """Attenuation of thickened interstitium, may be below 0 in between."""


def build_opacity(
    chest: Chest,
    draws: Draws,
    grade: Field,
    diffuse: NDArray[np.bool_],
    coarse: Field,
    middle: Field,
    fine: Field,
) -> Opacity:
    """Return the opacities of each image.

    Parameters
    ----------
    chest : Chest
        Where the lungs are.
    draws : Draws
        The patients' draws of :data:`DRAWS`.
    grade : array of float32, shape (B, 1, 1)
        0 for a healthy chest, up to 1.
    diffuse : array of bool, shape (B, 1, 1)
        Interstitial instead of lobar.
    coarse, middle, fine : array of float32, shape (B, S, S)
        Textures fixed to the body, of unit variance.
    """
    lobar = np.where(diffuse, 0, grade).astype(np.float32)
    patches = np.zeros_like(chest.a)
    for k in range(FOCI):
        rows = np.flatnonzero(lobar > _FOCUS_FROM[k])
        if len(rows):
            patches[rows] = np.maximum(patches[rows], _focus(chest, draws, lobar, coarse, middle, rows, k))
    density = np.clip(0.60 + 0.38 * lobar, 0, 0.95)
    bronchogram = 1 - np.float32(0.40) * np.clip(np.abs(middle) * 0.8 + 0.4 * fine - 0.2, 0, 1.3)
    filled = patches * density * bronchogram

    wet = (draws.uniform("effusion") < 0.45 * lobar).astype(np.float32)
    here = chest.right == (draws.uniform("effusion side") < 0.5)
    level = 0.98 - 0.30 * lobar
    climb = np.float32(0.25) * np.clip(chest.a / chest.width, 0, 1.1) ** 2
    pool = ramp(chest.depth - level + climb, 0.10)
    filled = np.maximum(filled, wet * here * pool * np.float32(0.95))

    # a lobar pneumonia comes with fainter strands in the rest of both lungs
    spread = grade * np.where(diffuse, np.float32(1), np.float32(0.3))
    center = np.float32(0.62) + 0.18 * (draws.uniform("perihilar") - 0.5)
    region = np.clip(1.25 - ((chest.depth - center) / 0.55) ** 2 + 0.35 * coarse, 0.1, 1.3)
    net = 1 - np.abs(middle) * np.float32(1.7)
    nodes = np.clip(fine - 0.4, 0, 1.6)
    strands = spread * region * (0.80 * np.clip(net, -0.8, 1) + np.float32(0.50) * nodes)
    filled = np.maximum(filled, np.clip(spread * region * np.float32(0.30), 0, 0.5))
    return Opacity(filled=np.clip(filled, 0, 0.97), strands=strands.astype(np.float32))


def _focus(
    chest: Chest, draws: Draws, grade: Field, coarse: Field, middle: Field, rows: NDArray[np.intp], k: int
) -> Field:
    """Return one consolidated region in the cases ``rows``: ragged, and cut off at a fissure in some."""

    def uniform(name: str) -> Field:
        return draws.uniform(name)[rows]

    a, depth, width = chest.a[rows], chest.depth[rows], chest.width[rows]
    height = (chest.base - chest.top)[rows]
    size = (0.18 + 0.22 * grade[rows]) * (0.85 + 0.35 * uniform(f"size {k}")) * _FOCUS_SIZE[k]
    stretch = np.exp(0.2 * draws.normal(f"shape {k}")[rows])
    across = (0.34 + 0.42 * uniform(f"across {k}")) * chest.half[rows]
    along = 0.22 + 0.62 * uniform(f"along {k}")
    dx = (a - across) / (size * stretch)
    dy = (depth - along) * (height * stretch / size)
    blob = 1 - np.sqrt(dx * dx + dy * dy) + 0.33 * coarse[rows] + 0.16 * middle[rows]
    fissure = 0.42 + 0.08 * uniform("fissure")
    above = np.where(along > fissure, np.float32(1), np.float32(-1))
    slant = depth - fissure - 0.12 * (a / width - 0.5) + 0.012 * coarse[rows]
    flat = ramp(slant * above, 0.06)
    bound = np.where(uniform(f"lobar {k}") < 0.5, flat, np.float32(1))
    here = chest.right[rows] == (uniform(f"side {k}") < 0.5)
    focus: Field = np.clip(2.6 * blob, 0, 1) * bound * here
    return focus


def build_mimics(chest: Chest, draws: Draws, middle: Field, fine: Field, share: float) -> Opacity:
    """Return harmless findings: plate atelectasis, nodules, crowded vessels at the bases, one hazy lung.

    Parameters
    ----------
    chest : Chest
        Where the lungs are.
    draws : Draws
        The patients' draws of :data:`DRAWS`.
    middle, fine : array of float32, shape (B, S, S)
        Textures fixed to the body, of unit variance.
    share : float
        Chance of each of them.
    """
    height = chest.base - chest.top

    def on_side(name: str) -> NDArray[np.bool_]:
        here: NDArray[np.bool_] = chest.right == (draws.uniform(name) < 0.5)
        return here

    line = chest.depth - 0.45 - 0.4 * draws.uniform("plate place")
    line = line - 0.22 * draws.normal("plate slope") * (chest.a - 0.3)
    thick = max(0.02, 1.2 * chest.pixel) * (1 + draws.uniform("plate width"))
    plate = np.clip(1.3 - np.abs(line) * height / thick, 0, 1) * np.float32(0.55)
    filled = plate * ((draws.uniform("plate") < share) & on_side("plate side"))

    across = (0.3 + 0.5 * draws.uniform("nodule across")) * chest.half
    along = 0.2 + 0.6 * draws.uniform("nodule along")
    size = 0.03 + 0.05 * draws.uniform("nodule size")
    round_one = ramp(ellipse(chest.a, chest.y, across, chest.top + along * height, size, size), 0.04)
    shown = (draws.uniform("nodule") < share) & on_side("nodule side")
    filled = np.maximum(filled, 0.7 * round_one * shown)

    hazy = (draws.uniform("haze") < share) & on_side("haze side")
    filled = np.maximum(filled, 0.22 * hazy * np.clip(1.2 - np.abs(chest.depth - 0.6), 0, 1))

    crowded = (draws.uniform("crowding") < share) * (0.4 + 0.6 * draws.uniform("crowding grain"))
    base = np.clip((chest.depth - 0.45) * 3, 0, 1)
    strands = crowded * base * (0.20 * np.clip(1 - np.abs(middle) * 1.7, -0.6, 1) + 0.08 * fine)
    return Opacity(filled=filled, strands=strands)
