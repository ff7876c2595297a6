"""Print the lowest version that ``pyproject.toml`` allows of each dependency, as constraints for pip.

``make test-lowest`` installs them; torch and torchvision stay at the newest, like the tools that only check.
"""

import re
import tomllib
from pathlib import Path

FREE = {"torch", "torchvision", "mypy", "ruff", "bandit", "pandas-stubs", "types-PyYAML"}


def lowest(project: Path) -> list[str]:
    """Return ``name==version`` for every requirement ``name>=version`` but the free ones."""
    declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    requirements = declared["dependencies"] + declared["optional-dependencies"]["test"]
    pairs = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements]
    assert all(pairs), "every dependency has a lower bound and nothing else"
    return sorted({f"{pair[1]}=={pair[2]}" for pair in pairs if pair and pair[1] not in FREE})


if __name__ == "__main__":
    print("\n".join(lowest(Path(__file__).parents[1] / "pyproject.toml")))
