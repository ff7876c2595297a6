"""From what a dataset says of its cases to the classes and structures that a protocol names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmbench.data.readers.contract import Listing
from mmbench.errors import DataError, suggestion
from mmbench.protocol.domains import DatasetChoice
from mmbench.protocol.vocabulary import CLASS_NAMES

if TYPE_CHECKING:
    import pandas as pd


def is_usual(choice: DatasetChoice, classes: Sequence[str]) -> bool:
    """Whether a dataset's own labels, normal and pneumonia, are what the protocol asks for."""
    return tuple(classes) == CLASS_NAMES and not choice.label_map


def relabelled(cases: pd.DataFrame, choice: DatasetChoice, classes: Sequence[str]) -> pd.DataFrame:
    """Return a table of cases whose labels are places in the protocol's classes.

    The finest name that a dataset has for a case is its ``finding``. It is looked up in the entry's
    ``label_map``; otherwise it is a class itself, or, with the usual two classes, has the dataset's label.

    Parameters
    ----------
    cases : DataFrame
        With the columns ``label`` and ``finding``.
    choice : DatasetChoice
        Its ``label_map`` counts.
    classes : sequence of str
        The protocol's.

    Raises
    ------
    DataError
        If a finding is none of the classes, or ``label_map`` names a finding or a class that is not there.
    """
    import pandas as pd

    if is_usual(choice, classes):
        return cases
    findings = list(cases["finding"])
    _check_map(choice, set(findings), classes)
    usual = tuple(classes) == CLASS_NAMES
    labels: list[int | None] = []
    unknown: Counter[str] = Counter()
    for finding, label in zip(findings, cases["label"].fillna(-1), strict=True):
        name = choice.label_map.get(finding, finding)
        if finding in choice.label_map or name in classes:
            labels.append(None if name is None else classes.index(name))
        elif usual:
            labels.append(int(label) if label >= 0 else None)
        else:
            unknown[finding] += bool(finding)
            labels.append(None)
    if +unknown:
        ((finding, _),) = unknown.most_common(1)
        raise DataError(
            f"{choice.dataset}: {unknown[finding]} cases are {finding!r}, none of the classes "
            f"{', '.join(classes)}; say which it is, label_map: {{{finding}: {classes[-1]}}}, or leave them "
            f"unlabelled, label_map: {{{finding}: null}}"
        )
    return cases.assign(label=pd.array(labels, dtype="Int8"))


def with_structures(listing: Listing, choice: DatasetChoice, structures: Sequence[str]) -> Listing:
    """Return a listing whose cases keep the masks of the protocol's structures only.

    A case that has some of them but not all keeps none, and a note says how many those are. One file may
    hold all structures, told apart by the entry's ``mask_values``.

    Raises
    ------
    DataError
        If the dataset has masks, but none of one of the structures.
    """
    offered = sorted({name for case in listing.cases for name in case.masks})
    wanted = list(choice.mask_values or structures)
    if choice.mask_values and set(wanted) != set(structures):
        raise DataError(
            f"{choice.dataset}: mask_values names {', '.join(wanted)}, but the protocol's structures are "
            f"{', '.join(structures)}"
        )
    if choice.mask_values:
        for case in listing.cases:
            if len(case.masks) > 1:
                raise DataError(
                    f"{choice.dataset}: mask_values is for masks of one kind that hold all structures, but "
                    f"{case.case_id} has those of {', '.join(sorted(case.masks))}; remove it, or the others"
                )
        return listing  # every mask file holds all of them
    if offered and (missing := [name for name in structures if name not in offered]):
        raise DataError(f"{choice.dataset}: has no masks of {missing[0]!r}, only of {', '.join(offered)}")
    kept, partial = [], 0
    for case in listing.cases:
        own = {name: case.masks[name] for name in structures if name in case.masks}
        partial += 0 < len(own) < len(structures)
        kept.append(replace(case, masks=own if len(own) == len(structures) else {}))
    notes = list(listing.notes)
    if partial:
        notes.append(
            f"{choice.dataset}: {partial} of {len(kept)} images have masks of some structures but not "
            "of all; they count as without"
        )
    return replace(listing, cases=kept, notes=notes)


def _check_map(choice: DatasetChoice, findings: Collection[str], classes: Sequence[str]) -> None:
    for finding, name in choice.label_map.items():
        if finding not in findings:
            known = ", ".join(sorted(filter(None, findings))) or "none"
            raise DataError(f"{choice.dataset}: label_map names {finding!r}; its findings are {known}")
        if name is not None and name not in classes:
            raise DataError(f"{choice.dataset}: label_map: no class {name!r}; {suggestion(name, classes)}")
