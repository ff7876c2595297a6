"""Who is examined and how often: patients, their draws, labels and grades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbench.data.phantom import anatomy, detector, disease, overlays, positioning
from mmbench.data.phantom.dials import Dials
from mmbench.data.phantom.fields import Draws, Field
from mmbench.randomness import derive_seed

PATIENT_DRAWS = (*anatomy.DRAWS, *disease.DRAWS)
IMAGE_DRAWS = ("grade change", "label flip", *positioning.DRAWS, *detector.DRAWS, *overlays.DRAWS)
TEXTURES = {"coarse": 13, "middle": 30, "fine": 56}
"""Knots per side of the textures fixed to a patient's body."""


@dataclass(frozen=True)
class Roster:
    """Which patient each case shows, and which of the patient's images it is."""

    patient: NDArray[np.int64]
    image: NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """Everything drawn for a batch of cases."""

    body: Draws
    picture: Draws
    textures: dict[str, NDArray[np.float32]]
    noise: Field
    sick: NDArray[np.bool_]
    given: NDArray[np.bool_]
    """Labels as users get them."""
    grade: NDArray[np.float32]
    """0 for healthy chests, else above 0 up to 1."""
    diffuse: NDArray[np.bool_]


def draw_roster(domain: str, dials: Dials, cases: int) -> Roster:
    """Return the patients of the first ``cases`` images; a longer roster begins with a shorter one."""
    stream = np.random.default_rng(derive_seed(dials.population, "phantom roster", domain))
    repeated, third = stream.random((2 * cases, 2))[:cases].T
    counts = 1 + (repeated < dials.repeats) * (1 + (third < 0.4))
    patient = np.repeat(np.arange(cases), counts)[:cases]
    image = np.arange(cases) - np.searchsorted(patient, patient)
    return Roster(patient=patient, image=image)


def draw_cohort(domain: str, dials: Dials, roster: Roster, cases: range, size: int) -> Cohort:
    """Return the draws of some cases of a roster, at one image size.

    Each patient and each image has a stream of its own, so a case depends neither on how many there
    are nor on its neighbours; the dials enter no stream.
    """
    body, picture, noise = [], [], []
    textures: dict[str, list[NDArray[np.float32]]] = {name: [] for name in TEXTURES}
    for case in cases:
        patient, image = int(roster.patient[case]), int(roster.image[case])
        stream = np.random.default_rng(derive_seed(dials.population, "phantom patient", domain, patient))
        body.append(stream.standard_normal(len(PATIENT_DRAWS), np.float32))
        for name, knots in TEXTURES.items():
            textures[name].append(stream.standard_normal((knots, knots), np.float32))
        seed = derive_seed(dials.population, "phantom image", domain, patient, image)
        stream = np.random.default_rng(seed)
        picture.append(stream.standard_normal(len(IMAGE_DRAWS), np.float32))
        noise.append(stream.standard_normal((size, size), np.float32))

    patient_draws = Draws(PATIENT_DRAWS, np.stack(body))
    image_draws = Draws(IMAGE_DRAWS, np.stack(picture))
    sick = patient_draws.uniform("diseased").reshape(-1) < dials.prevalence
    flip = image_draws.uniform("label flip").reshape(-1) < dials.label_noise
    spread = np.float32(dials.severity_spread)
    grade = dials.severity + spread * patient_draws.normal("grade")
    grade = np.clip(grade + np.float32(0.3) * spread * image_draws.normal("grade change"), 0.1, 1)
    return Cohort(
        body=patient_draws,
        picture=image_draws,
        textures={name: np.stack(grids) for name, grids in textures.items()},
        noise=np.stack(noise),
        sick=sick,
        given=sick ^ flip,
        grade=np.where(sick, grade.reshape(-1), 0).astype(np.float32),
        diffuse=patient_draws.uniform("kind").reshape(-1) < dials.interstitial,
    )
