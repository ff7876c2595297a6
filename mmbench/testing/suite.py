"""The checks as a class of pytest tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mmbench.methods.base import Method
from mmbench.testing.checks import CHECKS, run_check
from mmbench.testing.subject import Subject


class MethodTests:
    """One test for each check; derive a class from it and name the method.

    Attributes
    ----------
    method : type of Method
        What is checked.
    hyperparameters : dict
        Values that differ from the method's defaults.
    """

    method: ClassVar[type[Method]]
    hyperparameters: ClassVar[dict[str, Any]] = {}

    @classmethod
    def subject(cls) -> Subject:
        """Return the method under test, the same one for all tests of a class."""
        if "_subject" not in vars(cls):
            cls._subject = Subject(cls.method, cls.hyperparameters)
        return cls._subject

    _subject: ClassVar[Subject]


def _test(name: str) -> Callable[[MethodTests], None]:
    def test(self: MethodTests) -> None:
        found = run_check(name, self.subject())
        assert not found, "\n".join(found)

    test.__doc__ = f"Check: {name}."
    return test


for _name in CHECKS:
    setattr(MethodTests, "test_" + _name.replace(" ", "_").replace("-", "_"), _test(_name))
