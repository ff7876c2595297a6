"""Errors that the user can fix: one line each, exit code 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

Location = tuple[str | int, ...]
MOST_NAMES = 24
"""Names that a message lists before it stops."""


class UserError(Exception):
    """A mistake in the user's input; its message is one line saying what, where and how to fix it.

    Parameters
    ----------
    message : str
        One line.
    at : tuple of str or int
        The key in the protocol that must be changed, outermost part first; shown before the message.
    """

    def __init__(self, message: str, at: Location = ()):
        super().__init__(message, at)
        self.message = message
        self.at = at

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.at))}: {self.message}" if self.at else self.message


class ProtocolError(UserError):
    """A protocol file that cannot be run as written."""


class PluginError(UserError):
    """A method plugin that cannot be loaded or does not keep its contract."""


class DataError(UserError):
    """A dataset that is missing, damaged or not in its official layout."""


class MissingPackageError(DataError):
    """A package that reading a dataset needs is not installed; no file is at fault."""


class LeakError(UserError):
    """Images or patients shared between parts of the data that must be apart."""


class StoreError(UserError):
    """A results folder that cannot be read or written."""


class UnwritableStoreError(StoreError):
    """A results folder that cannot be written: full, read-only, or gone."""


@contextmanager
def located(*at: str | int) -> Iterator[None]:
    """Put the key ``at`` in front of the place of every user error that leaves the block."""
    try:
        yield
    except UserError as error:
        raise type(error)(error.message, at + error.at) from error


def suggestion(name: str, valid: Iterable[str]) -> str:
    """Return the hint that ends an unknown-name message.

    Parameters
    ----------
    name : str
        What the user typed.
    valid : iterable of str
        Every name that would have been accepted.

    Returns
    -------
    str
        ``"did you mean 'x'?"`` when a valid name is close, otherwise ``"valid: a, b, c"``.
    """
    names = sorted(set(valid))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if len(names) > MOST_NAMES:
        return f"valid: {', '.join(names[:MOST_NAMES])}, … ({len(names)} in all)"
    return "valid: " + ", ".join(names) if names else "there are none"


class ClaimError(UserError):
    """A ledger of published numbers cannot be read."""
