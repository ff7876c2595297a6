"""What every method must keep to, each check a function that says how it is broken.

The built-in methods pass all of it in the tests; ``mmbench check`` runs it on a contributor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmbench.methods.base import Method
from mmbench.testing import declared, predicted, trained
from mmbench.testing.subject import Subject


def faults(
    cls: type[Method],
    hyperparameters: dict[str, Any] | None = None,
    *,
    on_check: Callable[[str, list[str]], None] = lambda name, found: None,
) -> list[str]:
    """Return how a method breaks its contract, one line each; empty if it keeps it.

    Parameters
    ----------
    cls : type of Method
        The class to check.
    hyperparameters : dict, optional
        Values that differ from the defaults.
    on_check : callable
        Told each check's name and what it found.
    """
    subject, every = Subject(cls, hyperparameters or {}), []
    for name in CHECKS:
        found = run_check(name, subject)
        on_check(name, found)
        every += found
    return every


def run_check(name: str, subject: Subject) -> list[str]:
    """Return what one of :data:`CHECKS` finds."""
    try:
        return list(CHECKS[name](subject))
    # Whatever a stranger's code raises is a fault to report, not ours.
    except (Exception, SystemExit) as error:
        return [f"{name} raises {type(error).__name__}: {' '.join(str(error).split())}"]


CHECKS: Mapping[str, Callable[[Subject], Iterator[str]]] = {
    "hyper-parameters": declared.hyperparameters,
    "ranges of hyper-parameters": declared.search,
    "losses": trained.losses,
    "predictions": predicted.predictions,
    "loss terms": trained.terms,
    "effects of hyper-parameters": declared.effects,
    "use of streams": trained.streams,
    "repeated steps": trained.repeated_steps,
    "teachers": trained.teachers,
    "adaptation": predicted.adaptation,
    "shared training": declared.shared_training,
    "resuming from a checkpoint": trained.resuming,
    "saving and loading": predicted.saving,
    "three classes and two structures": predicted.other_classes,
    "originality": declared.originality,
}
"""Every check by its name; each yields one line for each fault."""
