"""Every built-in method passes the kit, by the suite that packages of others derive from."""

import pytest

from mmbench.plugins.discovery import discover
from mmbench.testing import MethodTests

REGISTRY = discover()
for _name in REGISTRY:
    _suite = f"Test_{_name}"
    # Its tests share trainings, so one process makes them all.
    _values = {"method": REGISTRY.get(_name).cls, "pytestmark": [pytest.mark.xdist_group(_name)]}
    globals()[_suite] = type(_suite, (MethodTests,), _values)
