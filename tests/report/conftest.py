import os
from pathlib import Path

import pytest

from tests.analysis.analysed import analysis, made_up, protocol, results  # noqa: F401
from tests.analysis.made_up import HOSTILE, write_results


@pytest.fixture(scope="session")
def golden():
    """Compare with a recorded file; MMBENCH_UPDATE_GOLDEN=1 records anew."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("MMBENCH_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A results folder whose rows and cases have names that no page or table may trust."""
    root = tmp_path_factory.mktemp("results") / "hostile"
    write_results(
        root,
        ["first", *HOSTILE],
        seeds=2,
        budgets=("full",),
        shown=HOSTILE,
        cases=24,
        case_name="<img src=x onerror=alert(1)> & _%{:03d}\n</script>",
    )
    return root
