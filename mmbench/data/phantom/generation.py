"""Generate the images, masks and labels of a phantom domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.data.phantom import detector, overlays, positioning, tissue
from mmbench.data.phantom.anatomy import Chest, build_chest
from mmbench.data.phantom.dials import Dials, resolve_dials
from mmbench.data.phantom.disease import build_mimics, build_opacity
from mmbench.data.phantom.domains import domain_settings
from mmbench.data.phantom.fields import Field, Texture, spline_noise
from mmbench.data.phantom.population import Cohort, draw_cohort, draw_roster
from mmbench.errors import DataError
from mmbench.protocol.schema import Scalar

GENERATOR_VERSION = 2
"""Raised whenever the same dials give other bytes; part of the cache's key."""

FINDINGS = ("normal", "lobar", "interstitial")
"""What a chest may show: nothing, or one of the two kinds of pneumonia."""
STRUCTURES = ("lungs", "heart")
"""What there are masks of."""

_PIXELS_AT_ONCE = 1 << 16
_MOST_CASES = 1_000_000


@dataclass(frozen=True)
class PhantomData:
    """The cases of a domain, row by row."""

    images: NDArray[np.uint8]
    """Grey values, shape (N, S, S)."""
    masks: NDArray[np.uint8]
    """Lung fields, 0 or 1, shape (N, S, S)."""
    hearts: NDArray[np.uint8]
    """Silhouettes of the heart, 0 or 1, shape (N, S, S)."""
    labels: NDArray[np.int8]
    """1 for pneumonia, as given to users: some are wrong where the domain's labels are noisy."""
    true_labels: NDArray[np.int8]
    patient_ids: list[str]
    case_ids: list[str]
    severity: NDArray[np.float32]
    """Grade of pneumonia, 0 for healthy chests, else above 0 up to 1."""
    interstitial: NDArray[np.bool_]
    """Whether the pneumonia is the diffuse, interstitial kind."""
    findings: list[str]
    """One of :data:`FINDINGS` for each case, as given to users: the kind of what is labelled pneumonia."""
    side_markers: NDArray[np.bool_]
    """Whether a side letter was burnt in."""
    ward_markers: NDArray[np.bool_]
    """Whether the ward's text marker was burnt in."""

    @property
    def structures(self) -> dict[str, NDArray[np.uint8]]:
        """The masks of each of :data:`STRUCTURES`."""
        return dict(zip(STRUCTURES, (self.masks, self.hearts), strict=True))


def generate(
    domain: str,
    dials: Mapping[str, Scalar],
    *,
    cases: int | None,
    image_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> PhantomData:
    """Return the cases of a phantom domain.

    Parameters
    ----------
    domain : str
        A name from :data:`~mmbench.data.phantom.domains.DOMAINS`.
    dials : mapping of str to scalar
        Dials that differ from the domain's own.
    cases : int or None
        How many images; the domain's own number when None. The first n of more are the same n.
    image_size : int
        Side of the square images in pixels, 16 to 2048.
    on_progress : callable, optional
        Called with the cases done and their total.

    Raises
    ------
    DataError
        If the domain, a dial or a size is not valid.
    """
    settings = domain_settings(domain)
    resolved = resolve_dials(domain, settings.dials, dials)
    total = settings.cases if cases is None else cases
    if not 1 <= total <= _MOST_CASES:
        raise DataError(f"phantom:{domain}: cases must lie between 1 and {_MOST_CASES:,}, not {total}")
    if not 16 <= image_size <= 2048:
        raise DataError(f"phantom:{domain}: image_size must lie between 16 and 2048, not {image_size}")

    roster = draw_roster(domain, resolved, total)
    images = np.empty((total, image_size, image_size), np.uint8)
    masks, hearts = np.empty_like(images), np.empty_like(images)
    kinds: list[str] = []
    labels, truth = np.empty(total, np.int8), np.empty(total, np.int8)
    severity = np.empty(total, np.float32)
    diffuse, side, ward = (np.empty(total, np.bool_) for _ in range(3))
    step = max(1, _PIXELS_AT_ONCE // image_size**2)
    for start in range(0, total, step):
        rows = range(start, min(start + step, total))
        part = slice(rows.start, rows.stop)
        cohort = draw_cohort(domain, resolved, roster, rows, image_size)
        images[part], masks[part], hearts[part] = _render(cohort, resolved, image_size)
        side[part] = overlays.side_marker(cohort.picture, resolved)
        ward[part] = overlays.ward_marker(cohort.picture, cohort.sick, resolved)
        overlays.burn_in(images[part], cohort.picture, side[part], ward[part])
        labels[part], truth[part], severity[part] = cohort.given, cohort.sick, cohort.grade
        diffuse[part] = cohort.diffuse & cohort.sick
        # A healthy chest labelled pneumonia by mistake is called the kind that its patient would have.
        kinds += [FINDINGS[place] for place in np.where(cohort.given, 1 + cohort.diffuse, 0)]
        if on_progress is not None:
            on_progress(rows.stop, total)
    return PhantomData(
        images=images,
        masks=masks,
        hearts=hearts,
        labels=labels,
        true_labels=truth,
        patient_ids=[f"{domain}-p{number:05d}" for number in roster.patient],
        case_ids=[f"{domain}-{number:05d}" for number in range(total)],
        severity=severity,
        interstitial=diffuse,
        findings=kinds,
        side_markers=side,
        ward_markers=ward,
    )


def _render(
    cohort: Cohort, dials: Dials, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images without burnt-in letters, and the masks of lungs and heart."""
    pose = positioning.build_pose(cohort.picture, dials)
    x, y = positioning.body_coordinates(size, cohort.picture, dials)
    chest = build_chest(x, y, cohort.body, pose, dials)
    attenuation = _attenuation(chest, cohort, dials, size)
    exposed = positioning.exposed_field(size, cohort.picture, dials)
    detected = detector.detect(attenuation, exposed, cohort.noise, cohort.picture, dials)
    image = detector.display(detected, exposed, cohort.picture, dials)
    # an observer outlines nothing under the collimator
    lungs, heart = (
        ((margin > 0) & (exposed > 0.5)).astype(np.uint8) for margin in (chest.field, chest.heart)
    )
    return image, lungs, heart


def _attenuation(chest: Chest, cohort: Cohort, dials: Dials, size: int) -> Field:
    raster = size + size // 4
    lookup = Texture(chest.x, chest.y, raster)
    coarse, middle, fine = (
        lookup.sample(spline_noise(cohort.textures[name], raster)) for name in ("coarse", "middle", "fine")
    )
    pose = positioning.build_pose(cohort.picture, dials)
    grade = cohort.grade[:, None, None]
    opacity = build_opacity(chest, cohort.body, grade, cohort.diffuse[:, None, None], coarse, middle, fine)
    mimics = build_mimics(chest, cohort.body, middle, fine, dials.mimics)
    air = chest.air * (1 + np.float32(0.05) * coarse)
    marks = tissue.vessels(chest, cohort.body, coarse, fine, dials.variety)
    marks = marks + opacity.strands + mimics.strands
    aerated = air * (1 - np.maximum(opacity.filled, mimics.filled))
    total: Field = (
        tissue.soft_tissue(chest, cohort.body, pose, dials.variety)
        - np.float32(tissue.AIR) * aerated
        + aerated * marks
        + tissue.bones(chest, cohort.body, pose, dials.variety)
        - tissue.gas(chest, cohort.body, dials.variety)
        + overlays.devices(chest, cohort.picture, dials)
    ).astype(np.float32)
    return total
