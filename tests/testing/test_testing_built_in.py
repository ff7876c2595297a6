"""Every built-in method passes the kit, by the suite that packages of others derive from."""

from mmbench.plugins.discovery import discover
from mmbench.testing import MethodTests

REGISTRY = discover()
for _name in REGISTRY:
    _suite = f"Test_{_name}"
    globals()[_suite] = type(_suite, (MethodTests,), {"method": REGISTRY.get(_name).cls})
