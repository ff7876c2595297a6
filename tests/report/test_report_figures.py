"""Figures of results that leave little to subset."""

import xml.dom.minidom
from typing import Any

import pytest

from mmbench.analysis.analysis import analyse
from mmbench.report.figures import draw_figures
from tests.analysis.made_up import write_results

SETTINGS: dict[str, dict[str, Any]] = {
    "one training of one row": {"rows": ["only"], "seeds": 1, "budgets": ("full",)},
    "two rows, one training": {"rows": ["one", "other"], "seeds": 1, "budgets": ("full",)},
    "subsets and seeds": {
        "rows": ["one", "other", "third"],
        "seeds": 2,
        "subsets": 2,
        "budgets": ("10", "full"),
    },
    "many rows": {"rows": [f"method {n}" for n in range(14)], "seeds": 2, "budgets": ("full",)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_makes_sense_is_drawn(tmp_path, name):
    setting = dict(SETTINGS[name])
    write_results(tmp_path / "r", setting.pop("rows"), cases=20, **setting)
    analysis = analyse(tmp_path / "r")
    assert analysis is not None
    figures = draw_figures(analysis, tmp_path / "figures")
    names = [figure.name for figure in figures]
    assert len(names) == len(set(names))
    if name == "one training of one row":
        assert "critical_difference" not in names
        assert "pairwise" not in names
    if name == "subsets and seeds":
        assert len(names) == 7
    for figure in figures:
        assert figure.title
        assert len(figure.description) > 20
        xml.dom.minidom.parse(str(figure.svg))
        assert figure.png.read_bytes().startswith(b"\x89PNG")
