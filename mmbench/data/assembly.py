"""From a cache entry to a Dataset: choose cases, assign parts, compute digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.data.cache import CacheEntry
from mmbench.data.dataset import Dataset, roster_digest
from mmbench.data.parts import assign_parts, proportional
from mmbench.data.relabelling import is_usual, relabelled
from mmbench.errors import DataError
from mmbench.files import digest_json
from mmbench.protocol.domains import DatasetChoice, domain_name
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES
from mmbench.randomness import generator

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PartRules:
    """How a dataset is cut into parts when the protocol does not say; see :func:`assign_parts`."""

    default: tuple[float, float, float]
    joined_validation: int = 0


def assemble(
    entry: CacheEntry,
    choice: DatasetChoice,
    *,
    seed: int,
    rules: PartRules,
    namespace: str = "",
    subset: bool = True,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
) -> Dataset:
    """Return the dataset that a protocol chose.

    Parameters
    ----------
    entry : CacheEntry
        The decoded cases.
    choice : DatasetChoice
        ``one_per_patient``, ``cases``, ``class_counts`` and ``split`` are applied here, in this order.
    seed : int
        The protocol's seed, root of the streams ``one per patient``, ``subset`` and ``split``.
    rules : PartRules
        The dataset's own parts.
    namespace : str
        See :class:`~mmbench.data.dataset.Dataset`.
    subset : bool
        False when ``cases`` was already applied.
    classes, structures : tuple of str
        The protocol's; the entry's masks are of these structures.
    """
    name, cases = choice.dataset, relabelled(entry.cases, choice, classes)
    roster = roster_digest(name, cases)
    kept = np.arange(len(cases))
    if choice.one_per_patient:
        kept = _one_per_patient(cases, generator(seed, "one per patient", roster))
    if subset and choice.cases is not None:
        if choice.cases > len(kept):
            raise DataError(f"{name}: cases: {choice.cases} is more than the {len(kept)} cases it has")
        kept = _subset(cases, kept, choice.cases, generator(seed, "subset", roster, choice.cases))
    if choice.class_counts is not None:
        random = generator(seed, "class counts", roster)
        kept = _of_classes(name, cases, kept, classes, choice.class_counts, random)
    whole = len(kept) == len(cases)
    table = cases.iloc[kept].reset_index(drop=True)
    roster = roster_digest(name, table)
    parts = assign_parts(
        table["official_part"].to_numpy(dtype=object),
        table["group"].to_numpy(),
        strata(table),
        sizes=choice.split,
        default=rules.default,
        joined_validation=rules.joined_validation,
        random=generator(seed, "split", roster),
        where=name,
    )
    columns = ["case_id", "patient_id", "part", "label", "has_mask", "group", "finding"]
    table = table.assign(part=parts.astype(str))
    return Dataset(
        name=name,
        domain=domain_name(choice),
        cases=table[columns],
        images=entry.images if whole else _taken(entry.images, kept),
        masks=entry.masks if entry.masks is None or whole else _taken(entry.masks, kept),
        data_digest=digest_json(_content(table, choice, classes, structures)),
        split_digest=digest_json([list(table["case_id"]), list(table["part"])]),
        classes=classes,
        structures=structures,
        notes=list(entry.notes),
        namespace=namespace or name,
        fingerprints=entry.fingerprints if whole else entry.fingerprints.take(kept),
    )


def _content(
    table: pd.DataFrame, choice: DatasetChoice, classes: tuple[str, ...], structures: tuple[str, ...]
) -> list[Any]:
    """Return what identifies the data: each case's digest, and the labels where a protocol gives them."""
    digests = list(table["digest"])
    if is_usual(choice, classes) and structures == STRUCTURE_NAMES:
        return digests
    labels = [int(label) for label in table["label"].fillna(-1)]
    return [digests, labels, list(classes), list(structures)]


def strata(cases: pd.DataFrame) -> np.ndarray:
    """Return a number for each combination of label and finding, as parts are stratified by."""
    pairs = zip(cases["label"].fillna(-1), cases["finding"], strict=True)
    text = np.array([f"{label}|{finding}" for label, finding in pairs], dtype=str)
    numbers: np.ndarray = np.unique(text, return_inverse=True)[1]
    return numbers


def _one_per_patient(cases: pd.DataFrame, random: np.random.Generator) -> np.ndarray:
    """Return one row per patient; parts are kept apart."""
    order = random.permutation(len(cases))
    keys = list(zip(cases["official_part"].iloc[order], cases["patient_id"].iloc[order], strict=True))
    first = dict(zip(keys, order, strict=True))
    return np.sort(np.fromiter(first.values(), dtype=np.int64))


def _subset(cases: pd.DataFrame, kept: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return ``count`` rows with the strata of official parts, labels and findings in proportion.

    Groups are taken whole, but for at most the last of each stratum.
    """
    table = cases.iloc[kept]
    keys = table["official_part"].to_numpy(dtype=object).astype(str)
    combined = np.char.add(np.char.add(keys, "|"), strata(table).astype(str))
    names, stratum = np.unique(combined, return_inverse=True)
    quotas = proportional(count, np.bincount(stratum).tolist())
    groups, group = np.unique(table["group"].to_numpy(), return_inverse=True)
    rank = random.permutation(len(groups))[group]
    chosen = []
    for index in range(len(names)):
        rows = np.flatnonzero(stratum == index)
        chosen.append(rows[np.argsort(rank[rows], kind="stable")][: quotas[index]])
    return np.sort(kept[np.concatenate(chosen)])


def _of_classes(
    name: str,
    cases: pd.DataFrame,
    kept: np.ndarray,
    classes: Sequence[str],
    counts: Mapping[str, int],
    random: np.random.Generator,
) -> np.ndarray:
    """Return as many rows of each class as asked for."""
    labels = cases["label"].fillna(-1).to_numpy(dtype=np.int64)[kept]
    chosen = []
    if set(counts) != set(classes):
        raise DataError(f"{name}: class_counts must give a number for each of {', '.join(classes)}")
    for label, word in enumerate(classes):
        rows, count = kept[labels == label], counts[word]
        if count > len(rows):
            raise DataError(f"{name}: class_counts: {count} {word} is more than the {len(rows)} there are")
        chosen.append(random.permutation(rows)[:count])
    return np.sort(np.concatenate(chosen))


def _taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    taken = np.asarray(array[rows])
    taken.flags.writeable = False
    return taken
