"""What made a number: digests of the source code that can change it.

A version number is not enough, since a working copy changes without one. So the files themselves are
digested: those that an entry point imports, directly or through other files, as far as they belong to
the engine's computing rooms (:func:`engine_digest`) or to a method (:func:`method_digest`). Imports are
read from the syntax tree and nothing is executed. Module names that are computed at run time stay unseen.

This module imports no torch: it runs wherever methods are listed.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

from mmbench.files import digest_bytes, digest_json

Layer = Literal["run", "predictions", "scores"]

PACKAGE = Path(__file__).resolve().parent
ENGINE, BASELINES = "mmbench", "mmbench.baselines"

ROOMS: dict[Layer, tuple[str, ...]] = {
    "run": (
        "data",
        "methods",
        "networks",
        "training",
        "evaluation",
        "randomness",
        "execution/training",
        "execution/sources",
    ),
    "predictions": (
        "data",
        "methods",
        "networks",
        "evaluation",
        "execution/predicting",
        "execution/sources",
        "store/masks",
    ),
    "scores": ("evaluation", "execution/scoring", "store/masks"),
}
"""The rooms, and modules of other rooms, that can change a layer's numbers, given the layer before it."""

ENTRIES: dict[Layer, tuple[str, ...]] = {
    "run": ("mmbench.execution.training", "mmbench.methods"),
    # The method was built and its weights were read back before predicting begins.
    "predictions": ("mmbench.execution.predicting", "mmbench.methods", "mmbench.methods.persistence"),
    "scores": ("mmbench.execution.scoring",),
}
"""The modules where the computation of a layer starts."""


class Root(NamedTuple):
    """A place that sources are searched in.

    Attributes
    ----------
    name : str
        The dotted name that it is imported by; empty for a folder whose modules are imported by their own
        names.
    place : Path
        The folder of a package, or the file of a single module.
    """

    name: str
    place: Path


def source_closure(entries: Iterable[str | Path], inside: Iterable[Root]) -> dict[str, Path]:
    """Return every source file that is imported from some entries, directly or through others.

    Imports count wherever they stand in a file, inside functions too. A file that cannot be parsed counts,
    but nothing is known of its imports.

    Parameters
    ----------
    entries : iterable of str or Path
        Dotted names of modules, or files.
    inside : iterable of Root
        Where to look; what is imported from anywhere else is left out.

    Returns
    -------
    dict of str to Path
        The files by their names relative to the roots, such as ``"mmbench/networks/unet.py"``; entries are
        among them if they exist and lie inside a root.
    """
    roots = [Root(name, place.resolve()) for name, place in inside]
    found: dict[str, Path] = {}
    waiting: list[Path] = []
    for entry in entries:
        waiting += [entry.resolve()] if isinstance(entry, Path) else _files_of(entry, roots)
    while waiting:
        file = waiting.pop()
        name = _name_inside(file, roots)
        if name is None or name in found or not file.is_file():
            continue
        found[name] = file
        for level, module in _imports(_content(file)):
            if level:
                folder = _folder_above(file, level)
                waiting += [folder / "__init__.py", *_below(folder, module)]
            else:
                waiting += _files_of(module, roots)
    return found


def method_digest(cls: type) -> str:
    """Return a digest of a method's own source.

    It covers the files of the class and of its base classes, those of the engine aside, and every module
    that these import from the same package, from the folder of a plugin file, or from the built-in
    methods. Files enter by their names relative to the package or folder, so a copy elsewhere has the same
    digest. What a plugin file imports from further places (``sys.path``, installed packages) is not
    covered; a package of one's own covers all of its modules.
    """
    entries, roots = [], [Root(BASELINES, _baselines())]
    for base in cls.__mro__:
        module = sys.modules.get(base.__module__)
        file = getattr(module, "__file__", None)
        if module is None or file is None or _is_engine(module.__name__):
            continue
        entries.append(Path(file))
        if not _is_inside(module.__name__, BASELINES):
            roots += _roots_of(module, Path(file))
    return _digest(source_closure(entries, dict.fromkeys(roots)))


def files_digest(module: ModuleType) -> str:
    """Return a digest of a plugin's file and of what it imports from its package or folder."""
    file = getattr(module, "__file__", None)
    if file is None:
        return ""
    return _digest(source_closure([Path(file)], _roots_of(module, Path(file))))


@cache
def engine_digest(layer: Layer, package: Path = PACKAGE) -> str:
    """Return a digest of the engine's source that can change a layer's numbers.

    Parameters
    ----------
    layer : {'run', 'predictions', 'scores'}
        What is computed.
    package : Path
        The folder of ``mmbench``; another one is of use in tests.
    """
    return _digest(engine_sources(layer, package))


def engine_sources(layer: Layer, package: Path = PACKAGE) -> dict[str, Path]:
    """Return the files that :func:`engine_digest` covers, by name."""
    places = {room.replace("/", "."): package / room for room in ROOMS[layer]}
    roots = [
        Root(f"{ENGINE}.{name}", place if place.is_dir() else place.with_suffix(".py"))
        for name, place in places.items()
    ]
    return source_closure(ENTRIES[layer], roots)


def distribution_of(cls: type) -> tuple[str, str] | None:
    """Return the name and version of the installed distribution that a class comes from, or None."""
    top = cls.__module__.partition(".")[0]
    names = _distributions().get(top, ())
    try:
        versions = [(name, distribution(name).version) for name in names]
    except PackageNotFoundError:  # uninstalled since
        return None
    if len(versions) < 2:
        return versions[0] if versions else None
    # Several distributions share a namespace package: the one that installed the module's file.
    file = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or "").resolve()
    for name, version in versions:
        if any(Path(str(part.locate())).resolve() == file for part in distribution(name).files or ()):
            return name, version
    return None


@cache
def _distributions() -> dict[str, list[str]]:
    found = packages_distributions()
    return {top: sorted(set(names)) for top, names in found.items()}


def _digest(files: dict[str, Path]) -> str:
    return digest_json({name: digest_bytes(_content(file)) for name, file in files.items()})


def _baselines() -> Path:
    import mmbench.baselines

    return Path(mmbench.baselines.__path__[0])


def _is_engine(module: str) -> bool:
    return _is_inside(module, ENGINE) and not _is_inside(module, BASELINES)


def _is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _roots_of(module: ModuleType, file: Path) -> list[Root]:
    """Return the places that belong to the same author as a module."""
    top = module.__name__.partition(".")[0]
    folders = getattr(sys.modules.get(top), "__path__", None)
    if folders is not None:
        return [Root(top, Path(folder)) for folder in folders]
    folder = file.resolve().parent
    # Beside a module installed without a package lie the packages of everybody else.
    if folder in _shared_folders():
        return [Root(top, file)]
    return [Root("", folder)]


@cache
def _shared_folders() -> frozenset[Path]:
    paths = sysconfig.get_paths()
    return frozenset(Path(paths[key]).resolve() for key in ("purelib", "platlib", "stdlib", "platstdlib"))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _name_inside(file: Path, roots: Iterable[Root]) -> str | None:
    for name, place in roots:
        prefix = Path(*name.split("."))
        if file == place:
            return prefix.with_suffix(".py").as_posix()
        if place in file.parents:
            return (prefix / file.relative_to(place)).as_posix()
    return None


def _files_of(module: str, roots: Iterable[Root]) -> Iterator[Path]:
    """Yield the files that importing a module executes: its packages' ``__init__`` files and its own."""
    parts = module.split(".")
    for name, place in roots:
        above = name.split(".") if name else []
        if parts[: len(above)] != above:
            continue
        if place.is_file():
            yield place
            continue
        if above:
            yield place / "__init__.py"
        yield from _below(place, ".".join(parts[len(above) :]))


def _below(folder: Path, module: str) -> Iterator[Path]:
    """Yield the files of a dotted module below a folder, which need not exist; ``*`` is every module."""
    for part in filter(None, module.split(".")):
        if part == "*":
            yield from folder.glob("*.py")
        if (folder / f"{part}.py").is_file() and not (folder / part / "__init__.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        yield folder / "__init__.py"


def _folder_above(file: Path, level: int) -> Path:
    """Return the folder that a relative import with that many dots starts from."""
    return file.parents[min(level, len(file.parents)) - 1]


@lru_cache(maxsize=1024)
def _imports(source: bytes) -> tuple[tuple[int, str], ...]:
    """Return what a file imports, each as the number of leading dots and a dotted name.

    ``from x import y`` gives ``x.y``, since ``y`` may be a module.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: dict[tuple[int, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys((0, alias.name) for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            found.update(dict.fromkeys((node.level, prefix + alias.name) for alias in node.names))
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            found[0, name] = None
    return tuple(found)


def _imported_by_call(node: ast.Call) -> str | None:
    """Return the module of ``import_module("x")`` or ``__import__("x")``."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if called not in ("import_module", "__import__") or not node.args:
        return None
    name = getattr(node.args[0], "value", None)
    return name if isinstance(name, str) else None
