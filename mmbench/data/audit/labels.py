"""Checks of labels, patients and duplicates.

Every check returns the rows that are odd, int64 in ascending order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmbench.data.dataset import Dataset
from mmbench.data.fingerprints import near_pairs

_MANY = 20
"""Images of a patient, and times the mean, from which on they are many."""
_WORDS = {
    "normal": {"normal", "healthy", "no_finding", "nofinding", "negative"},
    "pneumonia": {"pneumonia", "bacteria", "bacterial", "virus", "viral", "opacity", "positive"},
}
"""What file and folder names call a label."""


def identical(dataset: Dataset) -> np.ndarray:
    """Return the images that equal another one pixel by pixel."""
    _, groups, counts = np.unique(dataset.prints.pixels, axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[groups.reshape(-1)] > 1)


def nearly_identical(dataset: Dataset) -> np.ndarray:
    """Return the images that are near duplicates of another one (see :func:`near_pairs`)."""
    pairs = near_pairs(dataset.prints, dataset.prints)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]])


def contradictory(dataset: Dataset) -> np.ndarray:
    """Return the identical images that do not all have the same label and finding."""
    _, groups = np.unique(dataset.prints.pixels, axis=0, return_inverse=True)
    cases = dataset.cases
    told = cases["label"].astype(str) + " " + cases["finding"].astype(str)
    return np.flatnonzero((told.groupby(groups.reshape(-1)).transform("nunique") > 1).to_numpy())


def against_folders(dataset: Dataset, files: Mapping[str, Path]) -> np.ndarray:
    """Return the images whose label is another one than the last folder or file name that speaks of any."""
    odd = []
    for row, (case, label) in enumerate(
        zip(dataset.cases["case_id"], dataset.cases["label"].fillna(-1), strict=True)
    ):
        path = files.get(case)
        if path is None or label < 0:
            continue
        own = dataset.classes[int(label)]
        named = [kind for part in path.parts for kind, words in _WORDS.items() if words & _words(part)]
        if named and own in _WORDS and named[-1] != own:
            odd.append(row)
    return np.array(odd, dtype=np.int64)


def in_several_parts(dataset: Dataset) -> np.ndarray:
    """Return the images of patients who are in several parts."""
    parts = dataset.cases.groupby("patient_id")["part"].transform("nunique")
    return np.flatnonzero((parts > 1).to_numpy())


def with_many_images(dataset: Dataset) -> np.ndarray:
    """Return the images of patients who have at least 20, and 20 times the mean number of images."""
    counts = dataset.cases.groupby("patient_id")["case_id"].transform("size").to_numpy()
    mean = len(dataset.cases) / max(1, dataset.cases["patient_id"].nunique())
    return np.flatnonzero(counts >= _MANY * max(1.0, mean))


def _words(name: str) -> set[str]:
    """Return a file or folder name's words, lower case, two that follow each other joined as well."""
    words = re.findall(r"[a-z]+", name.lower())
    return {*words, *(f"{one}_{other}" for one, other in pairwise(words))}
