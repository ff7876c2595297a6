"""What is on or beside the patient: leads and tubes in the beam, letters burnt into the image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmbench.data.phantom.anatomy import Chest
from mmbench.data.phantom.dials import Dials
from mmbench.data.phantom.fields import Draws, Field, area_weights, dome, ramp

DRAWS = (
    "device", "wire", "wire height", "wire wave", "wire slope", "wire 2", "tube", "tube end", "electrodes",
    "electrode x", "electrode y", "pacemaker", "pacemaker x",
    "side marker", "side place", "side height", "side size", "side grey",
    "ward follows", "ward marker", "ward place",
)  # fmt: skip

_GLYPHS = {
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "W": "10001 10001 10001 10101 10101 11011 10001",
    "D": "11110 10001 10001 10001 10001 10001 11110",
}
WARD_TEXT = "WARD"


def devices(chest: Chest, draws: Draws, dials: Dials) -> Field | float:
    """Return the attenuation of leads, electrodes, tubes and pacemakers; 0 where the dial is at 0."""
    if dials.devices == 0:
        return 0.0
    x, y, pixel = chest.x, chest.y, chest.pixel
    thin = max(0.012, 0.9 * pixel)
    used = draws.uniform("device") < dials.devices
    total = np.zeros_like(x)
    for name, sign in (("wire", 1.0), ("wire 2", -1.0)):
        drift = 0.5 * sign * draws.normal("wire slope") * x
        wave = 0.12 * np.sin((3 + draws.normal("wire wave")) * x + 2 * draws.normal("wire wave"))
        line = y - 0.25 * draws.normal("wire height") * sign - drift - wave
        total += (draws.uniform(name) < 0.6) * np.clip(1 - np.abs(line) / (2 * thin), 0, 1) * np.float32(0.5)
    end = chest.top + 0.35 + 0.2 * draws.uniform("tube end")
    bent = np.abs(x - 0.03 - 0.10 * np.clip(chest.top + 0.2 - y, 0, 1))
    tube = np.clip(1 - bent / (2 * thin), 0, 1) * ramp(end - y, 0.03)
    total += (draws.uniform("tube") < 0.45) * tube * np.float32(0.6)
    for k in range(3):
        ex = (-0.42, 0.45, 0.30)[k] + 0.08 * draws.normal("electrode x")
        ey = (-0.35, -0.30, 0.42)[k] + 0.08 * draws.normal("electrode y")
        distance = np.sqrt((x - ex) ** 2 + (y - ey) ** 2)
        total += (draws.uniform("electrodes") < 0.6) * ramp(0.035 - distance, 2 * thin) * np.float32(0.6)
    px, py = 0.40 + 0.05 * draws.normal("pacemaker x"), chest.top + 0.27
    box = np.minimum(0.085 - np.abs(x - px), 0.07 - np.abs(y - py))
    total += (draws.uniform("pacemaker") < 0.15) * dome(box, 0.02) * np.float32(1.3)
    return used * total


def ward_marker(draws: Draws, sick: NDArray[np.bool_], dials: Dials) -> NDArray[np.bool_]:
    """Return which images carry the ward's marker, shape (B,).

    With ``marker_shortcut`` s, an image follows its true label with chance s and else carries the marker
    with chance ``marker_rate``; where that rate is the prevalence, s is the correlation.
    """
    follows = draws.uniform("ward follows").reshape(-1) < dials.marker_shortcut
    alone = draws.uniform("ward marker").reshape(-1) < dials.marker_rate
    return np.where(follows, sick, alone)


def side_marker(draws: Draws, dials: Dials) -> NDArray[np.bool_]:
    """Return which images carry a side letter, shape (B,)."""
    return draws.uniform("side marker").reshape(-1) < dials.side_markers


def burn_in(
    images: NDArray[np.uint8], draws: Draws, side: NDArray[np.bool_], ward: NDArray[np.bool_]
) -> None:
    """Write side letters and the ward's marker into the images, in place."""
    size = images.shape[-1]
    place, height = draws.uniform("side place").reshape(-1), draws.uniform("side height").reshape(-1)
    scale, grey = draws.uniform("side size").reshape(-1), draws.uniform("side grey").reshape(-1)
    ward_place = draws.uniform("ward place").reshape(-1)
    for index in np.flatnonzero(side | ward):
        if side[index]:
            left = place[index] < 0.7
            tall = max(4, round(size * (0.06 + 0.05 * scale[index])))
            column = round(size * 0.06) if left else size - round(size * 0.06) - tall
            top = round(size * (0.04 + 0.16 * height[index]))
            _write(images[index], "R" if left else "L", top, column, tall, 0.75 + 0.25 * grey[index])
        if ward[index]:
            tall = max(5, round(size * 0.06))
            column = size - round(size * 0.03) - round(tall * len(WARD_TEXT) * 0.86)
            top = round(size * (0.02 + 0.02 * ward_place[index]))
            _write(images[index], WARD_TEXT, top, column, tall, 1.0)


@lru_cache(maxsize=256)
def _stencil(text: str, tall: int) -> Field:
    """Return how much of each pixel the letters cover, for letters ``tall`` pixels high."""
    rows = [" ".join(_GLYPHS[letter].split()[row] for letter in text).replace(" ", "0") for row in range(7)]
    bitmap = np.array([[float(dot) for dot in row] for row in rows], np.float32)
    # each dot of the font is spread over the pixels it covers
    down = area_weights(bitmap.shape[0] * 12, tall)
    wide = max(1, round(tall * bitmap.shape[1] / 7))
    across = area_weights(bitmap.shape[1] * 12, wide)
    dots = np.kron(bitmap, np.ones((12, 12), np.float32))
    cover: Field = np.einsum("ik,lk->il", np.einsum("ij,jk->ik", down, dots), across)
    return cover


def _write(image: NDArray[np.uint8], text: str, top: int, left: int, tall: int, grey: float) -> None:
    cover = _stencil(text, tall)
    wide = cover.shape[1]
    bottom, right = min(top + tall, image.shape[0]), min(left + wide, image.shape[1])
    area = image[top:bottom, left:right]
    cover = cover[: area.shape[0], : area.shape[1]]
    area[:] = np.rint(area * (1 - cover) + np.float32(255 * grey) * cover).astype(np.uint8)
