"""The chest of a patient: body axes, lungs, mediastinum, heart and diaphragm.

Body coordinates: x grows towards the patient's left (right in the image), y downwards; the lungs of an
adult reach from about y = -0.72 to 0.6, the chest wall from about x = -0.62 to 0.62.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbench.data.phantom.dials import Dials
from mmbench.data.phantom.fields import Draws, Field, dome, ellipse, join, ramp, turned

DRAWS = (
    "age", "width", "height", "top", "shape", "wall", "thickness", "female", "breast", "fat",
    "bend", "bend height", "turn", "asymmetry", "apex", "apex side", "taper", "flare",
    "dome", "dome side", "dome height", "dome peak", "heart", "heart tilt", "heart shape", "heart place",
    "atrium", "upper right", "upper left", "knob", "thymus", "stomach", "stomach x", "stomach y", "bowel",
    "ribs", "rib slope", "rib curve", "rib bone", "spine", "clavicle", "clavicle slope", "clavicle bow",
    "scapula", "scapula side", "shoulder", "arm", "vessels", "markings", "hilum",
    "warp 1", "warp 2", "warp 3", "warp 4", "warp 5", "warp 6",
    "phase 1", "phase 2", "phase 3", "phase 4", "phase 5", "phase 6",
)  # fmt: skip


@dataclass(frozen=True)
class Pose:
    """How one image shows the patient: projection and breathing, arrays of shape (B, 1, 1)."""

    ap: Field
    """1 for anteroposterior, 0 for posteroanterior."""
    breath: Field
    """Standard normal: how deep the patient breathed in."""


@dataclass(frozen=True)
class Chest:
    """Geometry of a batch of patients; fields of shape (B, S, S), traits of shape (B, 1, 1)."""

    x: Field
    """Body coordinate relative to the bent midline."""
    y: Field
    a: Field
    """Distance from the midline."""
    right: np.ndarray
    """Whether a pixel lies on the patient's right."""
    pixel: float
    maturity: Field
    """0 in infancy to 1 when grown up."""
    half: Field
    """Half the width of the chest."""
    width: Field
    """The same on a pixel's own side."""
    top: Field
    base: Field
    depth: Field
    """Position between apex (0) and costophrenic angle (1)."""
    wall: Field
    """Margin to the lateral chest wall."""
    diaphragm: Field
    """Margin to the diaphragm, positive above it."""
    field: Field
    """Margin to the lung field: what an observer outlines."""
    heart: Field
    """Margin to the heart's silhouette, positive inside."""
    air: Field
    """Thickness of aerated lung, 0 to about 1."""


def _smooth_warp(x: Field, y: Field, draws: Draws, amount: float) -> tuple[Field, Field]:
    """Return coordinates bent by three random waves along each axis."""
    moved = []
    for axis, wave in ((0, 1), (1, 4)):
        shift = np.zeros_like(x)
        for k in range(3):
            phase = draws.uniform(f"phase {wave + k}") * np.float32(2 * np.pi)
            along, across = (1.3 + 1.2 * k, 1.9 + 1.1 * k)
            p, q = (across, along) if axis == (k % 2) else (along, -across)
            height = draws.normal(f"warp {wave + k}") * np.float32(amount * 0.022 / (1 + 0.6 * k))
            shift += height * np.sin(np.float32(p) * x + np.float32(q) * y + phase)
        moved.append(shift)
    return x + moved[0], y + moved[1]


def build_chest(x: Field, y: Field, draws: Draws, pose: Pose, dials: Dials) -> Chest:
    """Return the chest of each patient at the given body coordinates.

    Parameters
    ----------
    x, y : array of float32, shape (B, S, S)
        Body coordinates of the pixels.
    draws : Draws
        The patients' draws of :data:`DRAWS`.
    pose : Pose
        Projection and breath of the image.
    dials : Dials
        ``age`` and ``variety`` are used.
    """
    spread = dials.variety
    pixel = 2.0 / x.shape[-1]

    def trait(name: str, mean: float | Field, deviation: float) -> Field:
        return np.float32(mean) + np.float32(deviation * spread) * draws.normal(name)

    age = np.float32(dials.age) * np.exp(np.float32(0.35 * min(1.0, spread)) * draws.normal("age"))
    maturity = np.clip((age - 0.5) / 15.5, 0, 1) ** np.float32(0.7)
    child = 1 - maturity

    x, y = _smooth_warp(x, y, draws, spread)
    bend = trait("bend", 0.0, 0.022)
    x = x - bend * np.sin(np.float32(2.2) * (y + trait("bend height", 0.1, 0.3)))
    right = x < 0
    sign = np.where(right, np.float32(-1), np.float32(1))
    a = np.abs(x)

    turn = trait("turn", 0.0, 0.05) + trait("asymmetry", 0.0, 0.02)
    habitus = spread * draws.normal("shape")
    width = trait("width", 0.67, 0.03) + 0.025 * habitus - 0.03 * child
    half = width
    width = width * (1 + turn * sign)
    top = trait("top", -0.74, 0.035) + 0.13 * child
    height = trait("height", 1.34, 0.07) - 0.06 * habitus - 0.27 * child
    height = height + 0.04 * pose.breath - 0.10 * pose.ap * maturity
    base = top + height
    depth = (y - top) / height

    # lateral and apical border
    apex = (trait("apex", 0.47, 0.03) + trait("apex side", 0.0, 0.015) * sign) * half
    q = np.clip(depth / trait("taper", 0.72, 0.07), 0, 1)
    bell = np.clip(trait("flare", 0.24, 0.10) + 0.12 * child, 0, 0.6)
    lateral = apex + (width - apex) * ((1 - bell) * np.sqrt(q * (2 - q)) + bell * q)
    lateral = lateral - 0.12 * half * np.clip(depth - 0.75, 0, 1)
    inner = np.clip(depth * np.float32(1 / 0.2), 0, 1)
    medial = apex * (1 - np.sqrt(inner * (2 - inner)))
    wall = lateral - a

    # diaphragm, a little higher on the right
    level = base + trait("dome side", 0.015, 0.015) * sign
    peak = trait("dome peak", 0.42, 0.05) * half
    rise = np.clip(trait("dome height", 0.21, 0.045) + 0.04 * habitus, 0.06, 0.38)
    rise = rise * (1 - trait("dome", 0.10, 0.10) * sign)
    arch = np.clip((a - peak) / (half - peak), -1, 1.2)
    diaphragm = (level - rise * (1 - arch * arch) - y) * np.float32(0.9)

    below_top = (y - top) * np.float32(0.8)
    flanks = np.minimum(np.minimum(wall, below_top), a - medial)
    lung = np.minimum(flanks, diaphragm)

    # heart and great vessels
    ratio = trait("heart", 0.44, 0.045) + 0.07 * child + 0.06 * pose.ap - 0.01 * pose.breath
    radius = np.clip(ratio, 0.3, 0.75) * half
    heart_x = trait("heart place", 0.34, 0.07) * radius + 0.5 * turn * half
    heart_y = base - 0.16 - trait("heart shape", 0.52, 0.07) * radius
    hx, hy = turned(x, y, heart_x, heart_y, trait("heart tilt", 0.62, 0.14))
    ventricle = ellipse(hx, hy, 0.0, 0.0, radius * 0.98, radius * trait("heart shape", 0.70, 0.05))
    atrium_x = heart_x - trait("atrium", 0.68, 0.05) * radius
    atrium = ellipse(x, y, atrium_x, heart_y - 0.05 * radius, radius * 0.46, radius * 0.66)
    trunk = ellipse(x, y, heart_x - 0.20 * radius, heart_y - 0.75 * radius, radius * 0.48, radius * 0.8)
    heart = join(join(ventricle, atrium, 0.10), trunk, 0.10)
    # no lung shows between the heart and the diaphragm it rests on
    rest = np.minimum(y - heart_y, 0.66 * radius - np.abs(x - 0.75 * heart_x))
    heart = join(heart, rest, 0.06)

    upper = trait("upper right", 0.095, 0.016) + trait("upper left", 0.005, 0.012) * sign
    upper = upper * (1 + 0.25 * pose.ap) + 0.4 * turn * half * sign + 0.04 * child
    middle = np.clip(upper, 0.03, 0.3) + 0.04 * np.clip(0.5 - depth, 0, 0.5) - a
    knob_size = np.clip(trait("knob", 0.085, 0.02), 0.02, 0.14) * (0.4 + 0.6 * np.clip(age / 50, 0, 1.2))
    knob = ellipse(x, y, 0.085, heart_y - 1.45 * radius, knob_size, knob_size * 1.2)
    thymus_size = np.clip(1 - age / 6, 0, 1) * np.clip(trait("thymus", 0.6, 0.5), 0, 1.6)
    thymus_y = top + 0.35 * height
    thymus = ellipse(x, y, 0.02, thymus_y, 0.05 + 0.16 * thymus_size, 0.06 + 0.18 * thymus_size)
    vascular = join(join(middle, knob, 0.05), thymus, 0.06)
    vascular = join(vascular, heart - 0.05, 0.12)

    field = np.minimum(lung, -np.maximum(vascular, heart))
    round_wall = dome(np.minimum(wall, below_top), 0.42)
    air = _aeration(flanks, round_wall, diaphragm, heart, vascular, pixel)
    return Chest(
        x=x, y=y, a=a, right=right, pixel=pixel, maturity=maturity, half=half, width=width, top=top,
        base=base, depth=depth, wall=wall, diaphragm=diaphragm, field=field, heart=heart, air=air,
    )  # fmt: skip


def _aeration(
    flanks: Field, round_wall: Field, diaphragm: Field, heart: Field, middle: Field, pixel: float
) -> Field:
    """Return the thickness of aerated lung along the ray, recess and retrocardiac lung included."""
    above = ramp(diaphragm, max(0.025, 1.5 * pixel))
    recess = np.clip(1 + diaphragm / np.float32(0.20), 0, 1) * np.float32(0.16)
    chest = round_wall * np.maximum(above, recess) * ramp(flanks, max(0.03, 1.5 * pixel))
    edge = max(0.03, 1.5 * pixel)
    solid = np.maximum(ramp(heart, edge) * np.float32(0.86), ramp(middle, edge) * np.float32(0.92))
    air: Field = chest * (1 - solid)
    return air
