"""The checks of everything that a plugin may declare, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmbench.errors import PluginError, suggestion
from mmbench.plugins.extensions import Extension
from mmbench.plugins.registry import Registry
from mmbench.testing.backbones import backbone_faults
from mmbench.testing.checks import CHECKS, run_check
from mmbench.testing.datasets import dataset_faults
from mmbench.testing.metrics import metric_faults
from mmbench.testing.subject import Subject


@dataclass(frozen=True)
class Contract:
    """A plugin's method, metric, dataset or backbone, and the checks that it must pass.

    Attributes
    ----------
    kind, name : str
        What it is, and what protocols call it.
    checks : callable
        Runs them, and yields each one's name with the faults that it found.
    """

    kind: str
    name: str
    checks: Callable[[], Iterator[tuple[str, list[str]]]]


def contracts(declared: Registry, installed: Registry, data_root: Path | None = None) -> list[Contract]:
    """Return what a plugin declares.

    Parameters
    ----------
    declared : Registry
        What the plugin declares.
    installed : Registry
        What was discovered, that included.
    data_root : Path, optional
        Where a dataset may lie.
    """
    found = [_method(name, installed) for name in declared]
    return found + [_extension(one, data_root) for one in declared.extensions.values()]


def of_name(name: str, installed: Registry, data_root: Path | None = None) -> list[Contract]:
    """Return what is called by a name.

    Raises
    ------
    PluginError
        If nothing is.
    """
    found = [_method(name, installed)] if name in set(installed) else []
    own = [one for (_, known), one in installed.extensions.items() if known == name]
    found += [_extension(one, data_root) for one in own]
    if not found:
        names = [*installed, *(known for _, known in installed.extensions)]
        raise PluginError(f"no plugin is called {name!r}; {suggestion(name, names)}; a file ends in .py")
    return found


def _method(name: str, installed: Registry) -> Contract:
    subject = Subject(installed.get(name).cls, {})
    return Contract("method", name, lambda: ((check, run_check(check, subject)) for check in CHECKS))


def _extension(one: Extension, data_root: Path | None) -> Contract:
    checks: Mapping[str, Callable[[], Iterable[str]]] = {
        "metric": lambda: metric_faults(one),
        "dataset": lambda: dataset_faults(one, data_root),
        "backbone": lambda: backbone_faults(one),
    }

    def run() -> Iterator[tuple[str, list[str]]]:
        try:
            found = list(checks[one.kind]())
        # Whatever a stranger's code raises is a fault to report, not ours.
        except (Exception, SystemExit) as error:
            found = [f"raises {type(error).__name__}: {' '.join(str(error).split())}"]
        yield f"what a {one.kind} must keep to", found

    return Contract(one.kind, one.name, run)
