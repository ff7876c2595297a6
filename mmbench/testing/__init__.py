"""The kit that proves a plugin: what it must keep to, as checks and as a suite for pytest.

In a package of one's own::

    from mmbench.testing import MethodTests

    class TestMine(MethodTests):
        method = MyMethod

``mmbench check PATH_OR_NAME`` runs the same checks.
"""

from mmbench.testing.checks import CHECKS, faults, run_check
from mmbench.testing.examples import built, example_batch, example_pools
from mmbench.testing.subject import Subject
from mmbench.testing.suite import MethodTests

__all__ = [
    "CHECKS",
    "MethodTests",
    "Subject",
    "built",
    "example_batch",
    "example_pools",
    "faults",
    "run_check",
]
