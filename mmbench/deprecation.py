"""Names that were given up: how a user is told, and until when the old ones work.

Versions are semantic. Until 1.0 a minor version may remove what the minor version before it has deprecated;
from 1.0 on only a major one may.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class MmbenchDeprecationWarning(FutureWarning):
    """Something that will be removed; shown by default, since it is meant for users."""


@dataclass(frozen=True)
class Deprecation:
    """A name that was given up.

    Attributes
    ----------
    old, new : str
        As users write them.
    since, removal : str
        The version that deprecated it, and the one that will not have it.
    """

    old: str
    new: str
    since: str
    removal: str

    @property
    def text(self) -> str:
        """What a user is told."""
        return (
            f"{self.old} is deprecated since mmbench {self.since}; use {self.new}, mmbench {self.removal} "
            "will not have the old name"
        )


KNOWN: dict[str, Deprecation] = {}
"""Everything that is deprecated, by its old name; a test finds what is overdue."""


def deprecate(old: str, new: str, *, since: str, removal: str) -> Deprecation:
    """Note that a name was given up.

    Parameters
    ----------
    old, new : str
        As users write them.
    since, removal : str
        Versions.
    """
    return KNOWN.setdefault(old, Deprecation(old, new, since, removal))


def warn(deprecation: Deprecation, stacklevel: int = 2) -> None:
    """Tell a user, once for each place."""
    warnings.warn(deprecation.text, MmbenchDeprecationWarning, stacklevel=stacklevel + 1)


def deprecated(
    new: str, *, since: str, removal: str
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a public function whose calls shall warn.

    Parameters
    ----------
    new : str
        What to call instead.
    since, removal : str
        Versions.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        name = f"{function.__module__}.{function.__qualname__}"
        noted = deprecate(name, new, since=since, removal=removal)

        @functools.wraps(function)
        def warned(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            warn(noted)
            return function(*args, **kwargs)

        return warned

    return decorate
