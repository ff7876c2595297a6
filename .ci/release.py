"""Say whether a tag may be released: it is the version, and the changelog has a section for it.

``python .ci/release.py v0.2.0``; the release workflow asks before it builds.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def faults(tag: str, root: Path = ROOT) -> list[str]:
    """Return what keeps a tag from being released, one line each."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, but pyproject.toml has version {version}; tag it v{version}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(rf"^## {re.escape(version)}\b(.*)$", changelog, re.MULTILINE)
    if heading is None:
        found.append(f"CHANGELOG.md has no section {version}; say what a user notices")
    elif not re.fullmatch(r" \(\d{4}-\d{2}-\d{2}\)", heading[1]):
        found.append(f"CHANGELOG.md has '## {version}{heading[1]}'; put the date, as (2026-12-01)")
    return found


if __name__ == "__main__":
    problems = faults(sys.argv[1])
    print("\n".join(problems) or f"{sys.argv[1]} may be released")
    sys.exit(bool(problems))
