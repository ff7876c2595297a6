"""Errors that are the user's to mend: one line each, exit code 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the user's input; its message is one line saying what, where and how to mend it."""


class ProtocolError(UserError):
    """A protocol file that cannot be run as written."""


class PluginError(UserError):
    """A method plugin that cannot be loaded or does not keep its contract."""


class DataError(UserError):
    """A dataset that is missing, damaged or not in its official layout."""


class LeakError(UserError):
    """Images or patients shared between parts of the data that must be apart."""


class StoreError(UserError):
    """A results folder that cannot be read or written."""


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
    return "valid: " + ", ".join(names) if names else "there are none"
