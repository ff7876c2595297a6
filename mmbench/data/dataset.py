"""The Dataset contract: a table of cases and their decoded images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mmbench.data.fingerprints import THUMBNAIL, Fingerprints, fingerprints_of, pixel_digest
from mmbench.errors import DataError
from mmbench.files import digest_json
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """A domain's cases at one image size.

    Attributes
    ----------
    name : str
        The dataset, for example ``"phantom:adult_pa"`` or ``"kermany"``.
    domain : str
        The domain's name in tables.
    cases : DataFrame
        One row per image, index 0..N-1. Columns: ``case_id`` (unique), ``patient_id``, ``part``
        (``train``, ``validation`` or ``test``), ``label`` (Int8, missing where there is none; a place in
        ``classes``), ``has_mask`` (bool), ``group`` (int: cases that must stay in one part, being of one
        patient or identical or near-duplicate images) and ``finding`` (text that parts and labelled subsets
        are stratified by; empty where nothing is known).
    images : ndarray
        uint8, shape (N, S, S), read-only, memory-mapped unless it is a subset.
    masks : ndarray or None
        uint8 in {0, 1}, shape (N, structures, S, S); rows of cases without a mask are zero.
    data_digest : str
        sha256 of the decoded images and masks before resizing, the labels and the patient ids, with the names
        of classes and structures where they are not the usual ones.
    split_digest : str
        sha256 of the assignment of cases to parts.
    classes : tuple of str
        What labels stand for, in the order of their numbers.
    structures : tuple of str
        What masks show, in their order.
    notes : list of str
        Known facts to report, one line each.
    namespace : str
        Patient ids of two datasets are compared only if they share it; the name when left empty.
    fingerprints : Fingerprints or None
        Of the images before resizing; made from ``images`` when left out.
    """

    name: str
    domain: str
    cases: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray | None
    data_digest: str
    split_digest: str
    classes: tuple[str, ...] = CLASS_NAMES
    structures: tuple[str, ...] = STRUCTURE_NAMES
    notes: list[str] = field(default_factory=list)
    namespace: str = ""
    fingerprints: Fingerprints | None = None

    def rows(self, part: str | None, task: Task) -> np.ndarray:
        """Return the rows of a part that a task can use: with a label, or with a mask.

        Parameters
        ----------
        part : str or None
            A part; None or ``"all"`` means every case.
        task : Task
            What the cases are for.

        Returns
        -------
        ndarray
            int64, in ascending order.
        """
        usable = self.cases["label"].notna() if task is Task.CLASSIFICATION else self.cases["has_mask"]
        return np.flatnonzero(usable.to_numpy(dtype=bool) & self._in(part))

    def part_rows(self, part: str | None) -> np.ndarray:
        """Return every row of a part, whether it has a label or a mask or neither."""
        return np.flatnonzero(self._in(part))

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return int(self.images.shape[-1])

    @cached_property
    def roster_digest(self) -> str:
        """Sha256 of who is in the dataset: name, case ids, patient ids, labels and presence of masks.

        Parts and labelled subsets are seeded by it, so that they are the same at every image size and with
        every version of an image decoder.
        """
        return roster_digest(self.name, self.cases)

    @cached_property
    def prints(self) -> Fingerprints:
        """The fingerprints of the images, computed when the dataset came without."""
        if self.fingerprints is not None:
            return self.fingerprints
        return image_fingerprints(self.images)

    def _in(self, part: str | None) -> np.ndarray:
        if part is None or part == "all":
            return np.ones(len(self.cases), dtype=bool)
        if part not in PARTS:
            raise DataError(f"{self.name}: unknown part {part!r}; valid: {', '.join(PARTS)}, all")
        return (self.cases["part"] == part).to_numpy(dtype=bool)


def roster_digest(name: str, cases: pd.DataFrame) -> str:
    """Return the sha256 of a dataset's name and of each case's id, patient, label and mask presence."""
    labels = [int(label) if label >= 0 else None for label in cases["label"].fillna(-1)]
    masks = [bool(value) for value in cases["has_mask"]]
    return digest_json([name, list(cases["case_id"]), list(cases["patient_id"]), labels, masks])


def image_fingerprints(images: np.ndarray) -> Fingerprints:
    """Return the fingerprints of square uint8 images of shape (N, S, S)."""
    from mmbench.data.imaging import Gray, to_square

    pixels = np.zeros((len(images), 32), dtype=np.uint8)
    thumbnails = np.zeros((len(images), THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    for row, image in enumerate(images):
        pixels[row] = pixel_digest(image)
        thumbnails[row] = to_square(Gray(np.asarray(image), 255), THUMBNAIL)
    return fingerprints_of(pixels, thumbnails)
