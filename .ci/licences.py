"""Print the licences of what mmbench needs to run, as a page of the docs (``make licences``)."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement

HEAD = """# Licences

What `pip install mmbench` installs, with the licence that each package declares, as `make licences` found it
in the environment of development. mmbench itself is under the MIT licence; data sets have terms of their own
(`mmbench list datasets NAME`).
"""


def needed(name: str) -> set[str]:
    """Return the packages that a package needs, without its extras and without itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        try:
            lines = requires(waiting.pop()) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            own = re.sub(r"[-_.]+", "-", requirement.name).lower()
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and own not in found:
                found.add(own)
                waiting.append(own)
    return found


def page() -> str:
    """Return the page."""
    packages = sorted(needed("mmbench"))
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--with-urls", "--packages", *packages]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    listed = json.loads(done.stdout)
    rows = [f"| [{one['Name']}]({one['URL']}) | {one['License'].splitlines()[0]} |" for one in listed]
    return "\n".join([HEAD, "| package | licence |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    print(page(), end="")
