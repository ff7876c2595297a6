"""The method that CONTRIBUTING shows keeps the contract and runs."""

from pathlib import Path

from mmbench.plugins.discovery import discover
from mmbench.testing import faults

ROOT = Path(__file__).parents[1]


def test_the_method_in_contributing_conforms(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    file = tmp_path / "slow_teacher.py"
    file.write_text(code)
    cls = discover([file]).get("slow_teacher").cls
    assert faults(cls) == []
    assert len([line for line in code.splitlines() if line.strip()]) <= 45
