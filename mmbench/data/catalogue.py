"""The datasets by name: what they are, where to get them, and loading them.

Names are ``kermany``, ``jsrt``, ``montgomery``, ``chestxray14``, ``rsna``, ``shenzhen``, ``manifest`` and
``phantom:<domain>``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mmbench.data import generated, remembered
from mmbench.data.assembly import PartRules, assemble
from mmbench.data.dataset import Dataset
from mmbench.data.decoding import DecodingRules
from mmbench.data.ingest import decoded_entry
from mmbench.data.phantom import DOMAINS, FINDINGS, STRUCTURES, describe_dials
from mmbench.data.readers import READERS, DatasetInfo, Manifest, Reader
from mmbench.data.readers.contract import case_counts
from mmbench.data.readers.layout import child
from mmbench.data.readers.manifest import MANIFESTS
from mmbench.data.relabelling import is_usual, with_structures
from mmbench.errors import DataError, suggestion
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task, dataset_name

SEARCH_DEPTH = 2


@dataclass(frozen=True)
class DatasetStatus:
    """A dataset as this computer has it.

    Attributes
    ----------
    info : DatasetInfo
        Name, title, tasks, where to get it, terms, published counts, citation.
    available : bool
        Whether a protocol can use it now (a manifest never counts as available: a protocol names it).
    imported : bool
        Whether it was imported.
    location : Path or None
        Where its files are.
    counts : dict
        What was found there, in the words of the published counts; for the phantom its default size.
    data_digest : str
        Of the imported data; empty if it was not imported.
    dials : list of dict
        Of a phantom domain: ``name``, ``value``, ``minimum``, ``maximum``, ``description``.
    fault : str
        Why what lies there cannot be read; empty if it can.
    """

    info: DatasetInfo
    available: bool = False
    imported: bool = False
    location: Path | None = None
    counts: dict[str, int] = field(default_factory=dict)
    data_digest: str = ""
    dials: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {
            "name": self.info.name,
            "title": self.info.title,
            "tasks": [task.value for task in self.info.tasks],
            "layout": self.info.layout,
            "where": self.info.where,
            "terms": self.info.terms,
            "citation": self.info.citation,
            "published_counts": self.info.published_counts,
            "findings": list(self.info.findings),
            "structures": list(self.info.structures),
            "available": self.available,
            "imported": self.imported,
            "location": None if self.location is None else str(self.location),
            "counts": self.counts,
            "data_digest": self.data_digest,
            "dials": self.dials,
            "fault": self.fault,
        }


def dataset_names() -> list[str]:
    """Return every name that a protocol may give, the phantom's domains first."""
    return [f"{generated.PREFIX}{domain}" for domain in DOMAINS] + sorted(READERS)


def describe(name: str) -> DatasetInfo:
    """Return what a dataset is, where to get it and on what terms.

    Raises
    ------
    DataError
        If there is no such dataset.
    """
    name = dataset_name(name)
    if name in READERS:
        return READERS[name].info
    domain = name.removeprefix(generated.PREFIX)
    if not name.startswith(generated.PREFIX) or domain not in DOMAINS:
        raise DataError(f"unknown dataset {name!r}; {suggestion(name, dataset_names())}")
    settings = DOMAINS[domain]
    return DatasetInfo(
        name=name,
        title=settings.title,
        tasks=tuple(settings.tasks),
        layout="generated",
        where="built in: generated on first use",
        terms="none: made by mmbench, shows no person",
        citation="",
        published_counts={"cases": settings.cases},
        findings=FINDINGS if Task.CLASSIFICATION in settings.tasks else (),
        structures=STRUCTURES if Task.SEGMENTATION in settings.tasks else (),
    )


def load_dataset(
    choice: DatasetChoice,
    *,
    image_size: int,
    seed: int,
    data_root: Path | None = None,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Return the dataset that a protocol chose, decoding or generating it on first use.

    A real dataset is looked for at ``data_root`` itself, then in its usual folders there, then where it
    was last imported from.

    Parameters
    ----------
    choice : DatasetChoice
        Which dataset, and what of it.
    image_size : int
        Side of the square images in pixels.
    seed : int
        The protocol's seed; parts and subsets are drawn from it.
    data_root : Path or None
        Folder of the real datasets.
    classes, structures : tuple of str
        What the protocol wants of labels and masks.
    progress : callable, optional
        Called with the cases done and their total while decoding or generating.

    Raises
    ------
    DataError
        If the dataset is unknown, not found, damaged, or the choice does not fit it.
    """
    info = describe(choice.dataset)
    if choice.path is not None and choice.dataset != "manifest":
        raise DataError(f"{choice.dataset}: 'path' is for manifests only; remove it")
    if choice.dataset.startswith(generated.PREFIX):
        return generated.load_phantom(
            choice,
            image_size=image_size,
            seed=seed,
            classes=classes,
            structures=structures,
            progress=progress,
        )
    if choice.patients is not None and choice.dataset != "manifest":
        raise DataError(f"{choice.dataset}: 'patients' is for manifests only; remove it")
    if choice.dials:
        raise DataError(f"{choice.dataset}: 'dials' are for the phantom only; remove them")
    reader = READERS[info.name]
    rules = PartRules(reader.parts, reader.joined_validation)
    made = partial(assemble, choice=choice, seed=seed, rules=rules, classes=classes, structures=structures)
    if isinstance(reader, Manifest):
        decoding = DecodingRules(structures, choice.mask_values, choice.white_level)
        known_labels = () if is_usual(choice, classes) else (*choice.label_map, *classes)
        listing = reader.scan_domain(_manifest_path(choice, data_root), choice.name, known_labels)
        listing = with_structures(listing, choice, structures)
        entry, _ = decoded_entry(reader, listing, image_size, decoding, progress=progress)
        shared = f"{MANIFESTS}{choice.patients}" if choice.patients else listing.namespace
        return made(entry, namespace=shared)
    root = locate(reader, data_root)
    known = remembered.recall(reader.name)
    same = known is not None and (root is None or known.root == root)
    white = choice.white_level or (known.white_level if known is not None and same else None)
    decoding = DecodingRules(structures, choice.mask_values, white)
    if root is None and known is not None and decoding == DecodingRules(white_level=known.white_level):
        kept = remembered.open_entry(known, image_size)
        if kept is not None:
            return made(kept)
    if root is None:
        raise _not_found(info, data_root, known)
    skip_bad = known is not None and same and known.skip_bad
    listing = with_structures(reader.listing(root), choice, structures)
    entry, _ = decoded_entry(reader, listing, image_size, decoding, skip_bad=skip_bad, progress=progress)
    return made(entry)


def files_of(choice: DatasetChoice, data_root: Path | None = None) -> dict[str, Path]:
    """Return each case's image file by case id; empty where there are none, as of the phantom.

    Raises
    ------
    DataError
        If the dataset's files are in no layout that is known.
    """
    reader = READERS.get(describe(choice.dataset).name)
    if reader is None:
        return {}
    if isinstance(reader, Manifest):
        found = reader.scan_domain(_manifest_path(choice, data_root), choice.name)
    else:
        root = locate(reader, data_root)
        if root is None:
            return {}
        found = reader.scan(root)
    return {case.case_id: case.image for case in found.cases}


def listing(data_root: Path | None = None) -> list[DatasetStatus]:
    """Return every dataset with what is known of it on this computer; decodes and generates nothing.

    Parameters
    ----------
    data_root : Path or None
        Where to look for real datasets beside the remembered imports.
    """
    if data_root is not None and not data_root.is_dir():
        raise DataError(f"--data-root {data_root}: is not a folder")
    found = []
    for name in dataset_names():
        info = describe(name)
        reader = READERS.get(name)
        if reader is None:
            dials = describe_dials(DOMAINS[name.removeprefix(generated.PREFIX)].dials)
            found.append(DatasetStatus(info, available=True, counts=dict(info.published_counts), dials=dials))
            continue
        found.append(_status(reader, info, data_root))
    return found


def _status(reader: Reader, info: DatasetInfo, data_root: Path | None) -> DatasetStatus:
    known = remembered.recall(info.name)
    location = None
    counts, digest = (known.counts, known.data_digest) if known is not None else ({}, "")
    fault = ""
    try:
        location = locate(reader, data_root) or (known.root if known is not None else None)
        if location is not None and (known is None or known.root != location):
            counts, digest = case_counts(reader.scan(location).cases), ""
    except DataError as error:  # of this data set alone; the others are listed
        counts, digest, fault = {}, "", str(error)
    return DatasetStatus(
        info,
        available=location is not None and not fault,
        imported=known is not None,
        location=location,
        counts=counts,
        data_digest=digest,
        fault=fault,
    )


def locate(reader: Reader, data_root: Path | None) -> Path | None:
    """Return the folder where a dataset's layout starts, or None.

    Parameters
    ----------
    reader : Reader
        Which dataset.
    data_root : Path or None
        Looked at first, then its subfolders with the dataset's usual names; if it has none of them, the
        place of the last import.
    """
    if data_root is not None:
        if not data_root.is_dir():
            raise DataError(f"--data-root {data_root}: is not a folder")
        data_root = data_root.resolve()
        if (found := reader.find(data_root)) is not None:
            return found
        for name in reader.folders:
            folder = child(data_root, name)
            if folder is not None and (found := reader.find(folder, SEARCH_DEPTH)) is not None:
                return found
    known = remembered.recall(reader.name)
    if known is not None and reader.matches(known.root):
        return known.root
    return None


def _manifest_path(choice: DatasetChoice, data_root: Path | None) -> Path:
    if choice.path is None:
        raise DataError("manifest: the protocol must name the CSV file by 'path'")
    return (data_root or Path()) / choice.path


def _not_found(info: DatasetInfo, data_root: Path | None, known: remembered.Import | None) -> DataError:
    if known is not None:
        looked = f"was imported from {known.root}, which is gone"
    elif data_root is not None:
        looked = f"is not under {data_root}"
    else:
        looked = "is not imported and no --data-root is given"
    return DataError(
        f"{info.name}: {looked}; get it from {info.where}, then 'mmbench data import {info.name} PATH'"
    )
