"""One reader per official layout."""

from __future__ import annotations

from mmbench.data.readers.base import DatasetInfo, Listing, RawCase, Reader
from mmbench.data.readers.chex import Chex
from mmbench.data.readers.jsrt import Jsrt
from mmbench.data.readers.manifest import Manifest
from mmbench.data.readers.mcu import Mcu
from mmbench.data.readers.nihx import Nihx
from mmbench.data.readers.rsna import Rsna
from mmbench.data.readers.shenzhen import Shenzhen

READERS: dict[str, Reader] = {
    reader.name: reader for reader in (Chex(), Jsrt(), Manifest(), Mcu(), Nihx(), Rsna(), Shenzhen())
}

__all__ = ["READERS", "DatasetInfo", "Listing", "Manifest", "RawCase", "Reader"]
