"""The audit: every check, in the order in which a reader wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.data.audit import images, labels, masks
from mmbench.data.dataset import Dataset
from mmbench.protocol.vocabulary import STRUCTURE_NAMES

EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """Something odd.

    Attributes
    ----------
    about : str
        ``images``, ``duplicates``, ``patients``, ``labels`` or ``masks``.
    text : str
        What it is, as the end of "7 of 138 ...".
    advice : str
        What to look at or do.
    cases : tuple of str
        The ids of the cases.
    total : int
        Of how many.
    """

    about: str
    text: str
    advice: str
    cases: tuple[str, ...]
    total: int

    @property
    def line(self) -> str:
        """The finding in one line."""
        examples = ", ".join(self.cases[:EXAMPLES]) + (", ..." if len(self.cases) > EXAMPLES else "")
        return f"{len(self.cases)} of {self.total} {self.text} ({examples}); {self.advice}"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {**vars(self), "cases": list(self.cases)}


def audit(dataset: Dataset, files: Mapping[str, Path]) -> list[Finding]:
    """Return what is odd about a data set, the images first; empty if nothing is.

    Parameters
    ----------
    dataset : Dataset
        At any image size; masks are looked at in its size.
    files : mapping of str to Path
        Each case's image file, by case id; those that it lacks are not looked at as files.
    """
    ids = list(dataset.cases["case_id"])
    sizes = images.sizes([files.get(case) for case in ids])
    checks = [
        (
            "images",
            images.odd_sizes(sizes),
            "have an unusual shape",
            "look for crops, rotations, other views",
        ),
        (
            "images",
            images.flat(dataset.images),
            "show hardly any contrast",
            "look for blank or failed exposures",
        ),
        (
            "images",
            images.clipped(dataset.images),
            "are black or white in more than half of the image",
            "look for wide borders, or a white level that does not fit",
        ),
        (
            "images",
            images.unlike_the_others(dataset.prints.thumbnails),
            "look like the negative of the others, or turned",
            "look at them; invert or turn them, or leave them out",
        ),
        (
            "duplicates",
            labels.identical(dataset),
            "are identical to another image",
            "they are kept in one part; leave copies out if each is to count once",
        ),
        (
            "duplicates",
            labels.nearly_identical(dataset),
            "are nearly the same as another image",
            "they are kept in one part; look for re-exports of one film",
        ),
        (
            "labels",
            labels.contradictory(dataset),
            "are the same image under different labels",
            "decide on one",
        ),
        (
            "labels",
            labels.against_folders(dataset, files),
            "carry a label that their file or folder name contradicts",
            "look at them and decide",
        ),
        (
            "patients",
            labels.in_several_parts(dataset),
            "are of a patient who is in several official parts",
            "the leak gate will stop a run; draw the parts anew, or acknowledge it",
        ),
        (
            "patients",
            labels.with_many_images(dataset),
            "are of a patient with many more images than others",
            "use one_per_patient, or check the ids",
        ),
    ]
    found = [_finding(about, where, text, advice, ids, len(ids)) for about, where, text, advice in checks]
    return [one for one in (*found, *_of_masks(dataset, ids)) if one is not None]


def _of_masks(dataset: Dataset, ids: list[str]) -> list[Finding | None]:
    if dataset.masks is None:
        return []
    rows = np.flatnonzero(dataset.cases["has_mask"].to_numpy(dtype=bool))
    found: list[Finding | None] = []
    for place, structure in enumerate(dataset.structures):
        planes = np.asarray(dataset.masks[rows, place]).astype(bool)
        checks = [
            (masks.empty(planes), "are empty", "look at the files"),
            (
                masks.full(planes),
                "cover more than three quarters of the image",
                "inside and outside may be exchanged",
            ),
            (
                masks.at_the_border(planes),
                "run along most of the image's border",
                "inside and outside may be exchanged",
            ),
            (
                masks.outside_the_body(planes, np.asarray(dataset.images[rows])),
                "lie outside of the body in part",
                "mask and image may not belong together, or one is turned",
            ),
            (
                masks.unlike_the_others(planes),
                "hardly overlap the usual place",
                "mask and image may not belong together, or one is turned",
            ),
        ]
        if structure in STRUCTURE_NAMES:
            checks.append((masks.not_two_lungs(planes), "do not have two lungs", "a lung may be missing"))
        found += [
            _finding("masks", rows[where], f"masks of {structure} {text}", advice, ids, len(rows))
            for where, text, advice in checks
        ]
    return found


def _finding(
    about: str, where: np.ndarray, text: str, advice: str, ids: list[str], total: int
) -> Finding | None:
    cases = tuple(ids[row] for row in where)
    text = text if about == "masks" else f"images {text}"
    return Finding(about, text, advice, cases, total) if cases else None
