"""The Reader contract: what a reader finds in an official layout, without decoding anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from mmbench.data import imaging
from mmbench.data.readers.layout import subfolders, unread_notes
from mmbench.errors import DataError
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task

_MAX_FOLDERS = 400
(LUNGS,) = STRUCTURE_NAMES


@dataclass(frozen=True)
class RawCase:
    """One image of an official layout, not yet decoded.

    Attributes
    ----------
    case_id : str
        Unique in the dataset; made of names, never of where the files lie.
    patient_id : str
        Equal for images of one patient.
    image : Path
        The image's file.
    masks : dict of str to tuple of Path
        By structure, the files whose union is its mask; empty where there is none.
    label : int or None
        1 is pneumonia, 0 is normal, None is unknown.
    part : str
        The official part, or empty.
    finding : str
        The finest name that is known of the case, for example ``"tuberculosis"`` or ``"bacteria"``; empty if
        nothing is known. Parts are stratified by it, and protocols may name classes after it.
    """

    case_id: str
    patient_id: str
    image: Path
    masks: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    label: int | None = None
    part: str = ""
    finding: str = ""


@dataclass(frozen=True)
class Listing:
    """Everything a reader found.

    Attributes
    ----------
    root : Path
        The folder that the layout starts at.
    cases : list of RawCase
        In the order of their ids.
    tables : tuple of Path
        Files read beside the images; a change of one makes a new cache entry.
    notes : list of str
        Known facts to report, one line each.
    left_out : frozenset of Path
        Image files that a note speaks of and no case has.
    namespace : str
        Patient ids of two datasets are compared only if they share it; empty is the dataset's name.
    """

    root: Path
    cases: list[RawCase]
    tables: tuple[Path, ...] = ()
    notes: list[str] = field(default_factory=list)
    left_out: frozenset[Path] = frozenset()
    namespace: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What a person needs to know of a dataset.

    Attributes
    ----------
    name, title, citation : str
        ``title`` is one line for listings.
    tasks : tuple of Task
        What it has labels or masks for.
    layout : str
        The folders and files as published.
    where : str
        Where to get it.
    terms : str
        What its owners ask for.
    published_counts : dict
        Counts as published, in the words of the import report: ``cases``, ``train``, ``train pneumonia``,
        ``masks``...
    findings : tuple of str
        What a case may be, in the finest names that the dataset has.
    structures : tuple of str
        What there are masks of.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    layout: str
    where: str
    terms: str
    citation: str
    published_counts: dict[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()


class Reader(ABC):
    """Parses one official layout.

    Attributes
    ----------
    info : DatasetInfo
        What it reads.
    folders : tuple of str
        Names under a data root that it is looked for in, lower case.
    parts : tuple of int
        Proportions of train, validation and test where the source has no official parts.
    joined_validation : int
        Official validation parts smaller than this join the training part.
    """

    info: ClassVar[DatasetInfo]
    folders: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[int, int, int]] = (60, 10, 30)
    joined_validation: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.info.name

    @abstractmethod
    def matches(self, folder: Path) -> bool:
        """Return whether the layout starts at ``folder``; cheap."""

    @abstractmethod
    def scan(self, root: Path) -> Listing:
        """Return every case of the layout that starts at ``root``.

        Raises
        ------
        DataError
            If files contradict the layout or each other.
        """

    def listing(self, root: Path) -> Listing:
        """Return :meth:`scan`'s cases, with a note on the image files below ``root`` that it did not read."""
        found = self.scan(root)
        masks = {path for case in found.cases for files in case.masks.values() for path in files}
        read = {case.image for case in found.cases} | masks | found.left_out | set(found.tables)
        return replace(found, notes=[*found.notes, *unread_notes(self.name, root, read)])

    def may_be_deep(self, path: Path) -> bool:
        """Return whether a file may not say what is white, without decoding it; see :class:`imaging.Gray`."""
        return imaging.may_be_deep(path)

    def decode(self, path: Path) -> imaging.Gray:
        """Decode one image; layouts with a format of their own override this."""
        return imaging.decode(path)

    def find(self, folder: Path, depth: int = 0) -> Path | None:
        """Return the shallowest folder at or below ``folder`` where the layout starts.

        Parameters
        ----------
        folder : Path
            Where to start.
        depth : int
            How many levels below to look.

        Raises
        ------
        DataError
            If the layout starts at several folders of one depth, or there are too many to search.
        """
        level = [folder]
        seen = 0
        for remaining in range(depth, -1, -1):
            found = [candidate for candidate in level if self.matches(candidate)]
            if len(found) > 1:
                listed = ", ".join(str(path) for path in found[:3])
                raise DataError(
                    f"{folder}: holds {len(found)} copies of {self.name} ({listed}); name the right one"
                )
            if found:
                return found[0]
            if remaining:
                level = [child for parent in level for child in subfolders(parent)]
                seen += len(level)
                if seen > _MAX_FOLDERS:
                    raise DataError(
                        f"{folder}: more than {_MAX_FOLDERS} folders were searched for {self.name}; name the "
                        "data set's own folder"
                    )
        return None


def no_duplicates(name: str, cases: list[RawCase]) -> list[RawCase]:
    """Return the cases ordered by id.

    Raises
    ------
    DataError
        If two files have the same case id.
    """
    cases = sorted(cases, key=lambda case: case.case_id)
    for one, other in pairwise(cases):
        if one.case_id == other.case_id:
            twice = f"{name}: case {one.case_id!r} is there twice"
            if one.image == other.image:
                raise DataError(f"{twice}, both times as {one.image}; list it once")
            raise DataError(f"{twice}, as {one.image} and {other.image}; remove one")
    return cases


def case_counts(cases: list[RawCase]) -> dict[str, int]:
    """Return counts in the words of the published ones.

    ``cases``; each class (``normal``, ``pneumonia``, or the finding where there is no label); each part
    with its classes; ``masks`` if there are any.
    """
    words = [case.finding if case.label is None else CLASS_NAMES[case.label] for case in cases]
    counts = Counter(word for word in words if word)
    named = [(case.part, word) for case, word in zip(cases, words, strict=True) if case.part and word]
    counts.update(f"{part} {word}" for part, word in named)
    counts["masks"] = sum(LUNGS in case.masks for case in cases)
    return {"cases": len(cases), **{word: number for word, number in sorted(counts.items()) if number}}
