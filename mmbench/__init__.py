"""The MultiMix benchmark: two tasks from few labels, in domain and across hospitals.

The names below are the whole of the Python interface; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.api import run
    from mmbench.errors import UserError
    from mmbench.protocol.loading import load_protocol, parse_protocol
    from mmbench.store.frames import load_predictions, load_runs, load_scores

    __version__: str

__all__ = [
    "UserError",
    "__version__",
    "load_predictions",
    "load_protocol",
    "load_runs",
    "load_scores",
    "parse_protocol",
    "run",
]

_HOMES = {
    "UserError": "mmbench.errors",
    "load_protocol": "mmbench.protocol.loading",
    "parse_protocol": "mmbench.protocol.loading",
    "load_predictions": "mmbench.store.frames",
    "load_runs": "mmbench.store.frames",
    "load_scores": "mmbench.store.frames",
    "run": "mmbench.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value: Any = version("mmbench")
        except PackageNotFoundError:
            value = "0+unknown"
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
