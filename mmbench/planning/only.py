"""``--only``: the part of a protocol's runs that the user wants now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmbench.errors import UserError, suggestion
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task

_KEYS: dict[str, Callable[[RunSpec], set[str]]] = {
    "method": lambda run: {run.label, run.method},
    "label": lambda run: {run.label},
    "classification": lambda run: {str(run.budgets.get(Task.CLASSIFICATION, "none"))},
    "segmentation": lambda run: {str(run.budgets.get(Task.SEGMENTATION, "none"))},
    "subset": lambda run: {str(run.subset)},
    "seed": lambda run: {str(run.seed)},
    "id": lambda run: {run.id},
}


def select(runs: Sequence[RunSpec], only: str | None) -> list[RunSpec]:
    """Return the runs that a filter names.

    Parameters
    ----------
    runs : sequence of RunSpec
        All of a protocol's runs.
    only : str or None
        ``key=value`` pairs joined by commas, for example ``method=multimix,method=unet,seed=0``. Pairs of
        one key are alternatives, different keys must all hold. Keys: method (a row's name, or the method
        under it), label, classification and segmentation (budgets; ``none`` for a task not learned),
        subset, seed, id.

    Raises
    ------
    UserError
        If the filter cannot be read, names an unknown key or value, or no run has all that it asks for.
    """
    if only is None:
        return list(runs)
    wanted: dict[str, set[str]] = {}
    for pair in only.split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise UserError(f"only: {pair.strip()!r} is not key=value; write for example method=unet,seed=0")
        if key not in _KEYS:
            raise UserError(f"only: unknown key {key!r}; {suggestion(key, _KEYS)}")
        known = {name for run in runs for name in _KEYS[key](run)}
        if value not in known:
            raise UserError(f"only: no run has {key}={value}; {_hint(value, known)}")
        wanted.setdefault(key, set()).add(value)
    chosen = [run for run in runs if all(_KEYS[key](run) & values for key, values in wanted.items())]
    if not chosen:
        raise UserError(f"only: no run has all of {only}; mmbench status lists the runs")
    return chosen


def _hint(value: str, known: set[str]) -> str:
    if all(name.isdecimal() or name in ("none", "full") for name in known):
        return "valid: " + ", ".join(sorted(known, key=lambda name: (not name.isdecimal(), len(name), name)))
    return suggestion(value, known)
