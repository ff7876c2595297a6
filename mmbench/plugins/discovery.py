"""Finding method plugins: the built-in folder, installed packages, and files that the user names."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import mmbench.baselines
from mmbench.errors import PluginError, UserError
from mmbench.files import digest_bytes
from mmbench.plugins.registry import MARK, Registry
from mmbench.provenance import method_digest

ENTRY_POINT_GROUP = "mmbench.methods"


def discover(paths: Iterable[Path] = ()) -> Registry:
    """Return every method of the built-in folder, of installed packages and of ``paths``.

    Parameters
    ----------
    paths : iterable of Path
        Plugin files, or folders whose ``.py`` files (underscored names aside) are plugins.

    Raises
    ------
    PluginError
        If a plugin cannot be loaded, or two of them share a name; the message names the file.
    """
    registry = Registry()
    for info in pkgutil.iter_modules(mmbench.baselines.__path__):
        _take(registry, importlib.import_module(f"{mmbench.baselines.__name__}.{info.name}"))
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        try:
            module = importlib.import_module(point.module)
        except UserError:
            raise
        except Exception as error:
            raise PluginError(f"entry point {point.name!r} ({point.value}): {_cause(error)}") from error
        _take(registry, module)
    for path in paths:
        _take_path(registry, Path(path))
    return registry


@lru_cache(maxsize=8)
def cached_registry(plugins: tuple[Path, ...]) -> Registry:
    """Return the methods found, discovered once per process."""
    return discover(plugins)


def methods_in(path: Path) -> Registry:
    """Return the methods of one plugin file or folder alone; see :func:`discover`."""
    registry = Registry()
    _take_path(registry, path)
    return registry


def _take_path(registry: Registry, path: Path) -> None:
    for file in _plugin_files(path):
        _take(registry, _load(file))


def _plugin_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
        if not files:
            raise PluginError(f"{path}: holds no plugin file (*.py)")
        return files
    if not path.is_file():
        raise PluginError(f"{path}: no such plugin file")
    if path.suffix != ".py":
        raise PluginError(f"{path}: a plugin is a .py file")
    return [path]


def _load(file: Path) -> ModuleType:
    file = file.resolve()
    name = f"mmbench_plugin_{digest_bytes(str(file).encode())[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise PluginError(f"{file}: {_cause(error)}") from error
    if not getattr(module, MARK, None):
        raise PluginError(f"{file}: registers no method; decorate a class with @register_method('name')")
    return module


def _take(registry: Registry, module: ModuleType) -> None:
    origin = Path(module.__file__ or module.__name__)
    classes = getattr(module, MARK, [])
    for cls in classes:
        registry.add(cls, origin, method_digest(cls))


def _cause(error: BaseException) -> str:
    place = ""
    if isinstance(error, SyntaxError):
        place = f" (line {error.lineno})"
    elif error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        place = f" (line {last.tb_lineno})"
    message = " ".join(str(error).split())
    return f"cannot be loaded: {type(error).__name__}: {message}{place}"
