"""What a plugin's dataset must keep to: its description, and what it reads where its files are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mmbench.data.readers import Reader
from mmbench.plugins.extensions import Extension
from mmbench.protocol.vocabulary import Task


def dataset_faults(found: Extension, data_root: Path | None = None) -> Iterator[str]:
    """Yield how a dataset's reader breaks its contract; its files are read if they lie under a data root."""
    reader: Reader = found.value()
    info = reader.info
    for key in ("title", "layout", "where", "terms", "citation"):
        if not getattr(info, key):
            yield f"info.{key} says nothing"
    if not info.tasks:
        yield "info.tasks is empty: what has it labels or masks for?"
    if Task.SEGMENTATION in info.tasks and not info.structures:
        yield "info.structures must say what there are masks of"
    if Task.CLASSIFICATION in info.tasks and not info.findings:
        yield "info.findings must say what a case may be"
    if not reader.folders or any(name != name.lower() for name in reader.folders):
        yield "folders must name, in lower case, the folders under a data root that it is looked for in"
    with TemporaryDirectory() as empty:
        if reader.find(Path(empty), 2) is not None:
            yield "it finds its layout in an empty folder; matches must look for its files"
    root = None if data_root is None else _located(reader, data_root)
    if root is not None:
        yield from _listing_faults(reader, root)
    elif data_root is not None:
        yield f"its files are not under {data_root}: neither there nor in {', '.join(reader.folders)}"


def _located(reader: Reader, data_root: Path) -> Path | None:
    from mmbench.data.catalogue import locate

    return locate(reader, data_root)


def _listing_faults(reader: Reader, root: Path) -> Iterator[str]:
    cases, info = reader.scan(root).cases, reader.info
    if not cases:
        yield f"{root}: it finds no case"
    twice = [name for name, count in Counter(case.case_id for case in cases).items() if count > 1]
    if twice:
        yield f"{root}: {len(twice)} of the case ids occur more than once, such as {twice[0]!r}"
    if [case.case_id for case in cases] != sorted(case.case_id for case in cases):
        yield f"{root}: the cases are not in the order of their ids"
    for case in cases:
        for path in (case.image, *(path for files in case.masks.values() for path in files)):
            if not path.is_file():
                yield f"{case.case_id}: {path} is no file"
                return
        strange = case.masks.keys() - set(info.structures)
        if strange:
            yield f"{case.case_id}: has a mask of {sorted(strange)[0]}, which info.structures does not name"
            return
        if case.finding and case.finding not in info.findings:
            yield f"{case.case_id}: its finding {case.finding!r} is not among info.findings"
            return
        if str(root) in case.case_id:
            yield f"{case.case_id}: the id says where the files lie; make it of names alone"
            return
    if cases:
        side = reader.decode(cases[0].image).levels.shape
        if len(side) != 2:
            yield f"{cases[0].image}: decodes to shape {side}, not to one grey image"
