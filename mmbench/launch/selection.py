"""``--only``: the part of a protocol's cells that the user wants now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmbench.errors import UserError, suggestion
from mmbench.protocol.cells import Cell
from mmbench.protocol.vocabulary import Task

_KEYS: dict[str, Callable[[Cell], set[str]]] = {
    "method": lambda cell: {cell.label, cell.method},
    "label": lambda cell: {cell.label},
    "classification": lambda cell: {str(cell.budgets.get(Task.CLASSIFICATION, "none"))},
    "segmentation": lambda cell: {str(cell.budgets.get(Task.SEGMENTATION, "none"))},
    "draw": lambda cell: {str(cell.draw)},
    "seed": lambda cell: {str(cell.seed)},
    "id": lambda cell: {cell.id},
}


def select(cells: Sequence[Cell], only: str | None) -> list[Cell]:
    """Return the cells that a filter names.

    Parameters
    ----------
    cells : sequence of Cell
        All of a protocol's cells.
    only : str or None
        ``key=value`` pairs joined by commas, for example ``method=multimix,method=unet,seed=0``. Pairs of
        one key are alternatives, different keys must all hold. Keys: method (a row's name, or the method
        under it), label, classification and segmentation (budgets; ``none`` for a task not learned),
        draw, seed, id.

    Raises
    ------
    UserError
        If the filter cannot be read, names an unknown key or value, or no cell has all that it asks for.
    """
    if only is None:
        return list(cells)
    wanted: dict[str, set[str]] = {}
    for pair in only.split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise UserError(f"only: {pair.strip()!r} is not key=value; write for example method=unet,seed=0")
        if key not in _KEYS:
            raise UserError(f"only: unknown key {key!r}; {suggestion(key, _KEYS)}")
        known = {name for cell in cells for name in _KEYS[key](cell)}
        if value not in known:
            raise UserError(f"only: no cell has {key}={value}; {_hint(value, known)}")
        wanted.setdefault(key, set()).add(value)
    chosen = [cell for cell in cells if all(_KEYS[key](cell) & values for key, values in wanted.items())]
    if not chosen:
        raise UserError(f"only: no cell has all of {only}; mmbench status lists the cells")
    return chosen


def _hint(value: str, known: set[str]) -> str:
    if all(name.isdecimal() or name in ("none", "full") for name in known):
        return "valid: " + ", ".join(sorted(known, key=lambda name: (not name.isdecimal(), len(name), name)))
    return suggestion(value, known)
