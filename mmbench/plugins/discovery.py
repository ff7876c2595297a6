"""Finding plugins: the built-in folder, installed packages, and files that the user names."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import mmbench.baselines
from mmbench.errors import PluginError, UserError
from mmbench.files import digest_bytes
from mmbench.plugins.extensions import extensions_of, install
from mmbench.plugins.registry import MARK, Registry
from mmbench.provenance import method_digest

ENTRY_POINT_GROUPS = ("mmbench.methods", "mmbench.datasets", "mmbench.metrics", "mmbench.backbones")
T = TypeVar("T")
_FOLDERS: list[str] = []
"""Folders of plugin files, whose other modules they may import."""
_LOADING: list[Path] = []
"""Plugin files that are being imported."""


def discover(paths: Iterable[Path] = ()) -> Registry:
    """Return every method of the built-in folder, of installed packages and of ``paths``.

    Their metrics, datasets and backbones are installed, in place of those of an earlier discovery. An
    installed package that cannot be loaded stops nobody who does not name what it has: it is kept in
    ``broken``.

    Parameters
    ----------
    paths : iterable of Path
        Plugin files, or folders whose ``.py`` files (underscored names aside) are plugins.

    Raises
    ------
    PluginError
        If one of ``paths`` cannot be loaded, or two methods share a name; the message names the file.
    """
    if _LOADING:
        raise PluginError(
            f"{_LOADING[-1]}: uses mmbench while it is imported as a plugin; put that under "
            'if __name__ == "__main__"'
        )
    registry = Registry()
    for info in pkgutil.iter_modules(mmbench.baselines.__path__):
        _take(registry, importlib.import_module(f"{mmbench.baselines.__name__}.{info.name}"))
    # A module may be named in several groups; whatever it declares is taken once.
    points = {point.module: point for group in ENTRY_POINT_GROUPS for point in entry_points(group=group)}
    for point in sorted(points.values(), key=lambda point: point.name):
        try:
            origin = f"installed plugin {point.name!r} ({point.value})"
            _take(registry, _imported(partial(importlib.import_module, point.module), origin))
        except UserError as error:
            registry.broken[point.name] = str(error)
    for path in paths:
        _take_path(registry, Path(path))
    install(registry.extensions.values())
    return registry


@lru_cache(maxsize=8)
def cached_registry(plugins: tuple[Path, ...]) -> Registry:
    """Return the methods found, discovered once per process."""
    return discover(plugins)


def plugins_in(path: Path) -> Registry:
    """Return what one plugin file or folder declares, that alone and not installed; see :func:`discover`."""
    registry = Registry()
    _take_path(registry, path)
    return registry


def running_script() -> list[Path]:
    """Return the script that is running if it registers methods: workers import it as a plugin file.

    Raises
    ------
    PluginError
        If methods were registered where there is no file, as in a notebook.
    """
    main = sys.modules["__main__"]
    classes = getattr(main, MARK, [])
    if not classes:
        return []
    file = getattr(main, "__file__", None)
    if file is None:
        raise PluginError(
            f"method {classes[0].name!r} is registered where no file is; workers need one: write it to a "
            "file and name that as a plugin"
        )
    return [Path(file).resolve()]


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
    _offer_helpers(file)
    _LOADING.append(file)
    try:
        _imported(partial(spec.loader.exec_module, module), str(file))
    finally:
        _LOADING.pop()
    if not getattr(module, MARK, None) and not extensions_of(module):
        raise PluginError(f"{file}: registers nothing; decorate a class with @register_method('name')")
    return module


def _offer_helpers(file: Path) -> None:
    """Let a plugin import the modules beside it, now and later; standard and installed ones come first.

    Raises
    ------
    PluginError
        If one has the name of a helper of another plugin, which would be imported in its place.
    """
    folder = str(file.parent)
    for helper in file.parent.glob("*.py"):
        known = getattr(sys.modules.get(helper.stem), "__file__", None)
        if known and Path(known).parent != file.parent and str(Path(known).parent) in _FOLDERS:
            raise PluginError(f"{helper}: {known} has the same name and is loaded; rename one of them")
    if folder not in _FOLDERS:
        _FOLDERS.append(folder)
        sys.path.append(folder)


def _imported(load: Callable[[], T], origin: str) -> T:
    """Import a plugin; what it prints does not mix with a command's own output.

    Raises
    ------
    PluginError
        If it raises anything or exits; the message begins with ``origin`` and names the line.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return load()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin}: {_cause(error)}") from error


def _take(registry: Registry, module: ModuleType) -> None:
    origin = Path(module.__file__ or module.__name__)
    classes = getattr(module, MARK, [])
    for cls in classes:
        registry.add(cls, origin, method_digest(cls))
    for extension in extensions_of(module):
        registry.extend(extension)


def _cause(error: BaseException) -> str:
    place = ""
    if isinstance(error, SyntaxError):
        place = f" (line {error.lineno})"
    elif error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        place = f" (line {last.tb_lineno})"
    if isinstance(error, SystemExit):
        return (
            f'cannot be loaded: it exits when it is imported{place}; put that under if __name__ == "__main__"'
        )
    message = " ".join(str(error).split())
    return f"cannot be loaded: {type(error).__name__}: {message}{place}"
