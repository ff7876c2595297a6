"""Where datasets were imported from, so that later runs need no data root."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pydantic import Field, ValidationError

from mmbench.data.cache import CacheEntry, cache_root, config_root, read_entry
from mmbench.files import write_text
from mmbench.protocol.schema import Strict


class Import(Strict):
    """One imported dataset."""

    name: str
    root: Path
    """The folder where the layout starts."""
    skip_bad: bool = False
    """Whether bad files may be left out."""
    entries: dict[int, str] = Field(default_factory=dict)
    """The cache entry's folder name for each image size."""
    counts: dict[str, int] = Field(default_factory=dict)
    """What was found, in the words of ``published_counts``."""
    data_digest: str = ""
    white_level: int | None = None
    """Of 16-bit files, if it was given."""
    notes: list[str] = Field(default_factory=list)
    """What is to be told of the layout."""


def recall(name: str) -> Import | None:
    """Return the last import of a dataset, or None."""
    try:
        return Import.model_validate(json.loads(_file(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def remember(record: Import) -> None:
    """Keep an import; entries of other image sizes stay if they are of the same data."""
    before = recall(record.name)
    if before is not None and before.root == record.root and before.data_digest == record.data_digest:
        record = record.model_copy(update={"entries": {**before.entries, **record.entries}})
    write_text(_file(record.name), record.model_dump_json(indent=2) + "\n")


def open_entry(record: Import, image_size: int) -> CacheEntry | None:
    """Return an import's decoded data at an image size, without looking at its files, or None."""
    folder = record.entries.get(image_size)
    entry = None if folder is None else read_entry(cache_root() / "datasets" / folder)
    return None if entry is None else replace(entry, notes=[*record.notes, *entry.notes])


def _file(name: str) -> Path:
    return config_root() / "imports" / f"{name}.json"
