"""What is around and across the lungs: trunk, bones, vessels, gas. All in units of attenuation."""

from __future__ import annotations

import numpy as np

from mmbench.data.phantom.anatomy import Chest, Pose
from mmbench.data.phantom.fields import Draws, Field, dome, ellipse, join, ramp, turned

TRUNK = 2.7
"""Attenuation through the middle of an adult's trunk without lungs."""
AIR = 1.75
"""Attenuation that the deepest aerated lung takes away."""


def soft_tissue(chest: Chest, draws: Draws, pose: Pose, spread: float) -> Field:
    """Return the attenuation of trunk, neck, head, arms, breasts and abdomen as if lungs were solid."""
    x, y, a = chest.x, chest.y, chest.a
    child = 1 - chest.maturity
    fat = np.clip(0.5 + 0.35 * spread * draws.normal("fat"), 0, 1.4)
    thick = np.float32(TRUNK) * (0.85 + 0.25 * fat + 0.08 * spread * draws.normal("thickness"))
    outline = chest.half + 0.16 + 0.14 * fat + 0.03 * spread * draws.normal("wall")
    outline = outline + 0.05 * np.clip(y - chest.base + 0.1, 0, 1) * fat

    r = a / outline
    trunk = np.sqrt(np.clip(1 - r * r * r, 0, 1))
    slope = 0.24 + 0.08 * spread * draws.normal("shoulder") + 0.06 * child
    line = chest.top - 0.16 + slope * np.clip(a - 0.18, 0, 2)
    below = y - line
    trunk = trunk * ramp(below, 0.08) * (0.62 + 0.38 * np.clip((y - chest.top + 0.15) * 2, 0, 1))
    girdle = np.float32(0.62) * dome(below, 0.30) * ramp(outline + 0.34 - a, 0.2)
    girdle = girdle * np.clip(1 - (y - chest.top - 0.25) / 0.6, 0, 1)
    neck_half = 0.20 + 0.03 * child
    neck = 0.62 * np.sqrt(np.clip(1 - (a / neck_half) ** 2, 0, 1)) * ramp(chest.top + 0.2 - y, 0.3)
    head_y = chest.top - 0.50 + 0.08 * child
    head = (0.9 + 0.3 * child) * dome(ellipse(x, y, 0.0, head_y, 0.27 + 0.06 * child, 0.30), 0.18)
    body = join(join(trunk, girdle, 0.12), np.maximum(neck, head), 0.1)

    # the arms hang beside the trunk in bedside images, else they are held away
    limb = outline + 0.32 - 0.12 * pose.ap + 0.05 * spread * draws.normal("arm") + 0.12 * (y - chest.top)
    arm = 0.42 * np.sqrt(np.clip(1 - ((a - limb) / 0.14) ** 2, 0, 1)) * ramp(below - 0.1, 0.15)
    body = np.maximum(body, arm)

    female = (draws.uniform("female") < 0.5) * chest.maturity
    size = np.clip(0.24 + 0.05 * spread * draws.normal("breast"), 0.1, 0.4)
    breast_y = chest.top + 0.74 * (chest.base - chest.top)
    breast = dome(ellipse(a, y, 0.36, breast_y, size, size * np.float32(0.85)), 0.2)
    belly = ramp(-chest.diaphragm, 0.06) * np.float32(0.10)
    total: Field = thick * (body * (1 + belly) + 0.20 * female * (0.4 + 0.6 * fat) * breast)
    return total


def bones(chest: Chest, draws: Draws, pose: Pose, spread: float) -> Field:
    """Return the attenuation of spine, ribs, clavicles, scapulae and upper arms."""
    density = np.clip(1 + 0.3 * spread * draws.normal("rib bone"), 0.4, 1.8) * (0.8 + 0.2 * chest.maturity)
    total = _spine(chest, draws, spread) + _ribs(chest, draws, pose, spread)
    solid: Field = density * (total + _girdle(chest, draws, pose, spread))
    return solid


def _spine(chest: Chest, draws: Draws, spread: float) -> Field:
    half = 0.065 + 0.012 * chest.maturity + 0.006 * spread * draws.normal("spine")
    body = ramp(half - chest.a, max(0.03, 1.5 * chest.pixel))
    period = np.float32(0.105) + 0.004 * spread * draws.normal("ribs")
    wave = np.cos(np.float32(2 * np.pi) * chest.y / period)
    process = ramp(0.018 - chest.a, max(0.02, 1.2 * chest.pixel)) * np.float32(0.08)
    return body * (0.26 + 0.07 * wave) + process


def _ribs(chest: Chest, draws: Draws, pose: Pose, spread: float) -> Field:
    """Return two layers of ribs: posterior ones fall outwards, anterior ones fall inwards."""
    child = 1 - chest.maturity
    r = chest.a / chest.width
    spacing = (chest.base - chest.top) / 8.8 * (1 + 0.04 * spread * draws.normal("ribs"))
    slope = -0.10 + 0.04 * spread * draws.normal("rib slope")
    curve = 0.40 - 0.16 * child + 0.05 * pose.ap + 0.05 * spread * draws.normal("rib curve")
    cage = ramp(chest.wall + 0.03, max(0.03, 1.5 * chest.pixel))
    rim = 1 + 0.9 * np.clip(1 - np.abs(chest.wall) * 12, 0, 1)
    level = (chest.y - chest.top) / spacing
    soft = chest.pixel / spacing

    k = level - (slope * r + curve * r * r) / spacing
    posterior = _band(k, 0.27, soft) * np.clip(k + 0.3, 0, 1) * np.clip((10.5 - k) * 0.5, 0, 1)
    posterior *= np.clip((chest.a - 0.05) * 12, 0, 1) * np.float32(0.15)

    # the anterior end of a rib leaves the wall where its posterior end reached it, and falls inwards
    k = level - (slope + curve + (0.36 - 0.10 * child) * (1 - r)) / spacing
    anterior = _band(k, 0.30, soft) * np.clip(k + 1, 0, 1) * np.clip((6.5 - k) * 0.7, 0, 1)
    anterior *= np.clip((r - 0.35) * 4, 0, 1) * (0.11 - 0.05 * child)
    ribs: Field = cage * rim * (posterior + anterior)
    return ribs


def _band(k: Field, half: float, soft: Field) -> Field:
    """Return stripes of period 1 with a bright cortex and half-width ``half``."""
    distance = np.abs(k - np.floor(k) - np.float32(0.5))
    soft = np.maximum(soft * np.float32(1.6), 0.12)
    inside = ramp(half - distance, soft)
    cortex = np.clip(1 - np.abs(half - distance) / 0.12, 0, 1)
    band: Field = inside * (0.75 + 0.5 * cortex)
    return band


def _girdle(chest: Chest, draws: Draws, pose: Pose, spread: float) -> Field:
    """Return clavicles, scapulae and upper arms."""
    a, y, pixel = chest.a, chest.y, chest.pixel
    child = 1 - chest.maturity
    slope = 0.10 + 0.14 * pose.ap * (1 - child) + 0.06 * spread * draws.normal("clavicle slope")
    bow = 0.045 + 0.012 * spread * draws.normal("clavicle bow")
    level = chest.top + 0.16 + 0.03 * spread * draws.normal("clavicle") - 0.06 * pose.ap
    reach = np.clip((a - 0.07) / 0.66, 0, 1)
    line = level - slope * reach - bow * np.sin(np.float32(5.6) * reach)
    tube = dome(0.026 - np.abs(y - line), 0.02) if pixel < 0.02 else ramp(0.026 - np.abs(y - line), 0.04)
    clavicle = tube * ramp(a - 0.06, 0.05) * ramp(0.74 - a, 0.08) * np.float32(0.42)

    over = 0.10 * pose.ap + 0.04 * spread * draws.normal("scapula")
    turn = 0.22 + 0.08 * spread * draws.normal("scapula side")
    sx, sy = turned(a, y, chest.half + 0.12 - over, chest.top + 0.36, -turn)
    edges = np.minimum(sx + 0.09 - 0.35 * sy, 0.14 - sx - 0.3 * sy)
    blade = np.minimum(edges, np.minimum(sy + 0.28, 0.26 - sy))
    scapula = ramp(blade, 0.03) * (0.06 + 0.10 * np.clip(1 - blade / 0.04, 0, 1))

    shaft_x = chest.half + 0.30 + 0.06 * spread * draws.normal("arm") - 0.06 * pose.ap
    head = dome(ellipse(a, y, shaft_x, chest.top + 0.16, 0.10, 0.10), 0.08)
    shaft = dome(0.055 - np.abs(a - shaft_x - 0.25 * (y - chest.top - 0.16)), 0.05)
    shaft = shaft * ramp(y - chest.top - 0.16, 0.1)
    girdle: Field = clavicle + scapula + np.float32(0.26) * np.maximum(head, shaft * np.float32(0.8))
    return girdle


def vessels(chest: Chest, draws: Draws, coarse: Field, fine: Field, spread: float) -> Field:
    """Return the attenuation of hila and of vessels that branch and thin out towards the pleura."""
    side = np.where(chest.right, np.float32(-1), np.float32(1))
    center_y = chest.top + 0.47 * (chest.base - chest.top) - np.float32(0.02) * side
    center_a = np.float32(0.13) + 0.02 * spread * draws.normal("hilum")
    dx, dy = chest.a - center_a, chest.y - center_y
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx + np.float32(0.02)) + np.float32(0.24) * coarse + side
    thin = max(0.10, 2.2 * chest.pixel)
    trees = np.zeros_like(radius)
    for count, near, far, phase in ((6.0, 0.0, 0.34, 0.4), (11.0, 0.16, 0.55, 1.9)):
        wave = np.abs(np.sin(np.float32(0.5 * count) * angle + np.float32(phase)))
        line = np.clip(1 - wave * radius / np.float32(thin * 0.9), 0, 1)
        trees += line * np.clip((radius - near) * 12, 0, 1) * np.clip((far - radius) * 5, 0, 1)
    strength = np.minimum(np.exp(0.4 * spread * draws.normal("vessels")), 1.7)
    markings = np.exp(0.5 * spread * draws.normal("markings"))
    hilum = dome(ellipse(chest.a, chest.y, center_a, center_y, 0.075, 0.13), 0.06)
    marks = 0.07 * markings * np.clip(np.abs(fine) - 0.9, 0, 1.2) * np.clip(0.9 - radius, 0, 1)
    trees = 0.30 * trees * (0.65 + 0.35 * fine)
    total: Field = strength * (trees + 0.42 * hilum * (1 + 0.3 * coarse) + marks)
    return total


def gas(chest: Chest, draws: Draws, spread: float) -> Field:
    """Return what the trachea and the gas of stomach and bowel take away."""
    trachea = ramp(0.038 - chest.a, max(0.03, 1.5 * chest.pixel)) * np.float32(0.45)
    trachea = trachea * ramp(chest.top + 0.42 * (chest.base - chest.top) - chest.y, 0.08)
    trachea = trachea * ramp(chest.y - chest.top + 0.35, 0.2)
    shown = draws.uniform("stomach") < 0.6
    sx = 0.28 + 0.07 * spread * draws.normal("stomach x")
    sy = chest.base + 0.02 + 0.05 * spread * draws.normal("stomach y")
    size = 0.07 + 0.10 * draws.uniform("bowel")
    bubble = dome(ellipse(chest.x, chest.y, sx, sy, size * np.float32(1.3), size), 0.07)
    bubble = bubble * ramp(-chest.diaphragm - 0.03, 0.03)
    return trachea + np.float32(0.75) * shown * bubble
