"""One reader per official layout."""

from __future__ import annotations

from collections.abc import Mapping

from mmbench.data.readers.chestxray14 import ChestXray14
from mmbench.data.readers.contract import DatasetInfo, Listing, RawCase, Reader
from mmbench.data.readers.jsrt import Jsrt
from mmbench.data.readers.kermany import Kermany
from mmbench.data.readers.manifest import Manifest
from mmbench.data.readers.montgomery import Montgomery
from mmbench.data.readers.rsna import Rsna
from mmbench.data.readers.shenzhen import Shenzhen
from mmbench.errors import PluginError

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (Kermany(), Jsrt(), Manifest(), Montgomery(), ChestXray14(), Rsna(), Shenzhen())
}

_BUILT_IN = frozenset(READERS)


def install(others: Mapping[str, Reader]) -> None:
    """Take in the readers of plugins, in place of those that were taken in before.

    Raises
    ------
    PluginError
        If a name is a built-in dataset's.
    """
    for name in others:
        if name in _BUILT_IN:
            raise PluginError(f"dataset {name!r} is built in; rename yours")
    for name in READERS.keys() - _BUILT_IN:
        del READERS[name]
    READERS.update(others)


__all__ = ["READERS", "DatasetInfo", "Listing", "Manifest", "RawCase", "Reader", "install"]
