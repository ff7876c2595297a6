"""The leak gate: no patient and no image may be both learned from and tested on.

Parts are compared by patient id, by identical pixels and by near duplicates, before training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np

from mmbench.data.dataset import Dataset
from mmbench.data.fingerprints import identical_pairs, near_pairs
from mmbench.data.readers.manifest import MANIFESTS, OWN_PATIENT
from mmbench.errors import LeakError
from mmbench.protocol.vocabulary import Task
from mmbench.text import plural

KINDS = ("patient", "identical", "near")
EXAMPLES = 5


class Role(StrEnum):
    """What a part is for, which decides what it must be apart from."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class LeakPart:
    """Some rows of a dataset in one role: what the leak gate compares.

    Attributes
    ----------
    name : str
        ``"<domain>:<part>"``, as protocols and reports name it.
    role : Role
        Validation and test parts must share nothing with training parts, nor with each other.
    dataset : Dataset
        Where the rows come from.
    rows : ndarray
        int64.
    """

    name: str
    role: Role
    dataset: Dataset
    rows: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """What two parts share, by kind.

    Attributes
    ----------
    parts : tuple of str
        Names of the two parts.
    apart : bool
        Whether they must share nothing.
    acknowledged : bool
        Whether the protocol acknowledges the pair.
    counts : dict
        ``patient``: patients in both. ``identical`` and ``near``: pairs of images, one of each part.
    examples : dict
        For each kind, the first few ``[case of the first, case of the second]``.
    """

    parts: tuple[str, str]
    apart: bool
    acknowledged: bool
    counts: dict[str, int]
    examples: dict[str, list[list[str]]] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        """Whether anything is shared that must be apart."""
        return self.apart and any(self.counts.values())


@dataclass(frozen=True)
class LeakReport:
    """Every pair of parts with what it shares; pairs that share nothing have zero counts."""

    overlaps: list[Overlap]

    @property
    def leaks(self) -> list[Overlap]:
        """Pairs of parts that share what must be apart, acknowledged or not."""
        return [overlap for overlap in self.overlaps if overlap.leaks]

    @property
    def unacknowledged(self) -> list[Overlap]:
        """The leaks that stop a run."""
        return [overlap for overlap in self.leaks if not overlap.acknowledged]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"overlaps": [asdict(overlap) | {"parts": list(overlap.parts)} for overlap in self.overlaps]}

    def notes(self) -> list[str]:
        """Return one line for each pair of parts with a leak."""
        return [
            f"leak{' (acknowledged)' if overlap.acknowledged else ''}: {_describe(overlap)}"
            for overlap in self.leaks
        ]


def protocol_parts(
    sources: Mapping[Task, Dataset],
    targets: Mapping[Task, Sequence[tuple[Dataset, str]]],
    seen: Collection[Task] = (),
) -> list[LeakPart]:
    """Return the parts of a protocol, each once.

    Parameters
    ----------
    sources : mapping from task to Dataset
        All three parts of each are compared; the training part with its unlabelled cases.
    targets : mapping from task to (Dataset, part)
        Domains whose labels are never trained on, and the part of each that is evaluated: ``"test"`` or
        ``"all"``.
    seen : collection of Task
        The tasks of which a method is trained with the targets' training parts.
    """
    parts: dict[tuple[str, str, str, str], LeakPart] = {}

    def add(dataset: Dataset, part: str, role: Role, rows: np.ndarray) -> None:
        name = f"{dataset.domain}:{part}"
        key = (name, dataset.data_digest, dataset.split_digest, role.value)
        known = parts.get(key)
        if known is not None:
            rows = np.union1d(known.rows, rows)
        parts[key] = LeakPart(name, role, dataset, rows)

    for task, dataset in sources.items():
        add(dataset, "train", Role.TRAIN, dataset.part_rows("train"))
        add(dataset, "validation", Role.VALIDATION, dataset.rows("validation", task))
        add(dataset, "test", Role.TEST, dataset.rows("test", task))
    for task, entries in targets.items():
        for dataset, part in entries:
            add(dataset, part, Role.TEST, dataset.rows(part, task))
            if task in seen and part == "test":
                add(dataset, "train", Role.TRAIN, dataset.part_rows("train"))
    return list(parts.values())


def find_leaks(parts: Sequence[LeakPart], acknowledged: Iterable[Sequence[str]] = ()) -> LeakReport:
    """Compare every pair of parts.

    Two parts must share nothing if one is a training part and the other is not, or if one is a validation
    part and the other a test part. Other pairs are counted for the report only.

    Parameters
    ----------
    parts : sequence of LeakPart
        From :func:`protocol_parts`.
    acknowledged : iterable of pairs of str
        Names of parts whose leaks are known; in either order.

    Raises
    ------
    LeakError
        If an acknowledged pair names a part that the protocol does not have.
    """
    names = {part.name for part in parts}
    known = set()
    for pair in acknowledged:
        for name in pair:
            if name not in names:
                valid = ", ".join(sorted(names))
                raise LeakError(f"acknowledged_leaks: no part is called {name!r}; parts: {valid}")
        known.add(frozenset(pair))
    shared = _SharedPairs()
    overlaps = []
    for one, other in combinations(parts, 2):
        counts, examples = _compare(one, other, shared)
        overlaps.append(
            Overlap(
                parts=(one.name, other.name),
                apart=one.role is not other.role,
                acknowledged=frozenset((one.name, other.name)) in known,
                counts=counts,
                examples=examples,
            )
        )
    return LeakReport(overlaps)


def check_leaks(parts: Sequence[LeakPart], acknowledged: Iterable[Sequence[str]] = ()) -> LeakReport:
    """Return the leak report of a protocol, or refuse the protocol.

    Parameters
    ----------
    parts, acknowledged
        As for :func:`find_leaks`.

    Raises
    ------
    LeakError
        If parts that must be apart share patients or images and the pair is not acknowledged; lists the
        first pairs and how to acknowledge them.
    """
    report = find_leaks(parts, acknowledged)
    if stopping := report.unacknowledged:
        what = "; ".join(_describe(overlap) for overlap in stopping[:3])
        more = f"; and {len(stopping) - 3} more pairs of parts" if len(stopping) > 3 else ""
        pairs = ", ".join(f"[{one}, {other}]" for one, other in sorted({o.parts for o in stopping}))
        raise LeakError(f"leak: {what}{more} - to run anyway, set 'acknowledged_leaks: [{pairs}]'")
    return report


def uncompared_patients(datasets: Sequence[Dataset]) -> list[str]:
    """Return a note on each two manifests with patient ids in common, which count as different patients."""
    notes = []
    for one, other in combinations(datasets, 2):
        spaces = {one.namespace, other.namespace}
        if len(spaces) < 2 or not all(space.startswith(MANIFESTS) for space in spaces):
            continue
        ids, others = (
            {str(name) for name in dataset.cases["patient_id"] if not str(name).startswith(OWN_PATIENT)}
            for dataset in (one, other)
        )
        if common := sorted(ids & others):
            notes.append(
                f"{plural(len(common), 'patient id')} of {one.domain} occur in {other.domain}, too "
                f"({', '.join(common[:3])}...), and count as different patients; if they are not, give both "
                "the same 'patients' name"
            )
    return notes


class _SharedPairs:
    """Identical and near pairs of whole datasets, found once for each pair of datasets."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

    def of(self, one: Dataset, other: Dataset) -> tuple[np.ndarray, np.ndarray]:
        key = (_content(one), _content(other))
        if key not in self._found:
            self._found[key] = identical_pairs(one.prints, other.prints), near_pairs(one.prints, other.prints)
        return self._found[key]


def _content(dataset: Dataset) -> str:
    # The digest of a dataset covers its rows in order, so equal digests mean equal row numbers.
    return f"{dataset.name} {dataset.data_digest}"


def _compare(
    one: LeakPart, other: LeakPart, shared: _SharedPairs
) -> tuple[dict[str, int], dict[str, list[list[str]]]]:
    found = {"patient": _shared_patients(one, other)}
    for kind, pairs in zip(("identical", "near"), shared.of(one.dataset, other.dataset), strict=True):
        inside = np.isin(pairs[:, 0], one.rows) & np.isin(pairs[:, 1], other.rows)
        found[kind] = pairs[inside]
    ids = [part.dataset.cases["case_id"].to_numpy(dtype=object) for part in (one, other)]
    examples = {
        kind: [[str(ids[0][row]), str(ids[1][match])] for row, match in pairs[:EXAMPLES]]
        for kind, pairs in found.items()
        if len(pairs)
    }
    return {kind: len(found[kind]) for kind in KINDS}, examples


def _shared_patients(one: LeakPart, other: LeakPart) -> np.ndarray:
    """Return for each shared patient the first row of either part."""
    if (one.dataset.namespace or one.dataset.name) != (other.dataset.namespace or other.dataset.name):
        return np.zeros((0, 2), dtype=np.int64)
    firsts = []
    for part in (one, other):
        patients = part.dataset.cases["patient_id"].to_numpy(dtype=object)[part.rows]
        firsts.append(dict(zip(patients[::-1], part.rows[::-1], strict=True)))
    common = [(row, firsts[1][patient]) for patient, row in firsts[0].items() if patient in firsts[1]]
    return np.array(sorted(common), dtype=np.int64).reshape(-1, 2)


def _describe(overlap: Overlap) -> str:
    units = {"patient": "patient", "identical": "pair", "near": "pair"}
    kinds = {"patient": "", "identical": " of identical images", "near": " of near duplicates"}
    counts = ", ".join(
        f"{plural(count, units[kind])}{kinds[kind]}" for kind, count in overlap.counts.items() if count
    )
    kind = next(kind for kind in KINDS if overlap.counts[kind])
    listed = [f"{one} = {other}" for one, other in overlap.examples[kind][:3]]
    if overlap.counts[kind] > len(listed):
        listed.append("...")
    return f"{overlap.parts[0]} and {overlap.parts[1]} share {counts} ({', '.join(listed)})"
