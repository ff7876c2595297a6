"""One reader per official layout."""

from __future__ import annotations

from mmbench.data.readers.chestxray14 import ChestXray14
from mmbench.data.readers.contract import DatasetInfo, Listing, RawCase, Reader
from mmbench.data.readers.jsrt import Jsrt
from mmbench.data.readers.kermany import Kermany
from mmbench.data.readers.manifest import Manifest
from mmbench.data.readers.montgomery import Montgomery
from mmbench.data.readers.rsna import Rsna
from mmbench.data.readers.shenzhen import Shenzhen

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (Kermany(), Jsrt(), Manifest(), Montgomery(), ChestXray14(), Rsna(), Shenzhen())
}

__all__ = ["READERS", "DatasetInfo", "Listing", "Manifest", "RawCase", "Reader"]
