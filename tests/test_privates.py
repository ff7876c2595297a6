"""A test that reaches into a private name of mmbench says why: ``# private: why``.

Imports and names given to ``monkeypatch.setattr`` are found here; ``module._name`` is ruff's SLF001.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
REASON = re.compile(r"# private: \S")


def is_private(dotted):
    """Whether any part of a dotted name is private; ``__name__`` is not."""
    return any(part.startswith("_") and not part.endswith("__") for part in dotted.split("."))


def text_of(node):
    """Return what stands between a text's quotation marks; nothing of anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def named(node):
    """Return the dotted names of mmbench that a statement imports or a call replaces."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("setattr", "delattr"):
        # In setattr(owner, "name", ...) the owner is taken to be one of mmbench's.
        texts = [text_of(argument) for argument in node.args] + ["", ""]
        names = [texts[0] or f"mmbench.{texts[1]}"]
    else:
        names = []
    return [name for name in names if name.split(".")[0] == "mmbench"]


def unexplained(source):
    """Return the lines at which a private name is reached without a reason beside or just above it."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    reasons = {token.start[0] for token in comments if REASON.search(token.string)}
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt | ast.expr) and any(map(is_private, named(node)))
        if reasons.isdisjoint(range(node.lineno - 1, node.end_lineno + 1))
    ]


def test_private_names_are_reached_for_a_reason():
    assert ROOT / "tests" / "test_privates.py" in FILES
    found = {str(path.relative_to(ROOT)): unexplained(path.read_text()) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from mmbench.stats.mixed import _p_value",
        "from mmbench.stats.mixed import (\n    Part,\n    _p_value as p_value,\n)",
        "from mmbench._hidden import shown",
        "import mmbench._hidden",
        'monkeypatch.setattr(module, "_held", slow)',
        'patch.setattr(\n    module,\n    "_held",\n    slow,\n)',
        'monkeypatch.setattr("mmbench.stats.sequential._levels", None)',
        'monkeypatch.delattr(module, "_held")',
    ],
)
def test_a_planted_line_is_found_and_a_reason_excuses_it(line):
    planted = f"import os\n\n\n{line}\n"
    assert unexplained(planted) == [4]
    assert unexplained(planted.replace(line, f"# private: why\n{line}")) == []
    assert unexplained(planted.replace(line, f"{line}  # private: why")) == []
    assert unexplained(planted.replace(line, f"# private: too far above\n\n{line}")) == [6]
    assert unexplained(planted.replace(line, f"# private:\n{line}")) == [5]  # without a reason
    assert unexplained(planted.replace(line, f'why = "# private: a text"\n{line}')) == [5]


@pytest.mark.parametrize(
    "line",
    [
        "from mmbench import __version__",
        "from torch.utils._python_dispatch import TorchDispatchMode",
        'monkeypatch.setattr(module, "HEARTBEAT", 0.05)',
        'monkeypatch.setattr("os._exit", stop)',
        "patch.setattr(*given)",
        "patch.setattr()",
    ],
)
def test_what_is_public_or_somebody_elses_needs_none(line):
    assert unexplained(line) == []
