"""The examples of docs/results-format.md run, and what they print is right."""

import re
from pathlib import Path

import numpy as np
import pytest

import mmbench
from tests.execution.inline import carry_out

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results-format.md"


@pytest.fixture
def examples(tmp_path, cache, monkeypatch):
    """Run in a folder where the page's results are."""
    carry_out(tmp_path / "results" / "quickstart")
    monkeypatch.chdir(tmp_path)
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_example_runs_as_written(examples, capsys):
    assert len(examples) == 2
    space = {}
    for example in examples:
        exec(example, space)  # the page's own code
    printed = capsys.readouterr().out
    masks, scores = space["masks"], mmbench.load_scores("results/quickstart")
    own = scores[scores["task"] == "segmentation"]
    filled = np.array([mask.any() for mask in masks["mask"]])
    expected = 1 - own["precision"].to_numpy()[filled]
    np.testing.assert_allclose(masks["false_discovery"].to_numpy()[filled], expected)
    assert "umtl 10 paediatric_ap" in printed


def test_every_file_of_a_results_folder_is_on_the_page(tmp_path, cache):
    carry_out(tmp_path / "r")
    text = PAGE.read_text(encoding="utf-8")
    names = {
        path.name for path in (tmp_path / "r").rglob("*") if path.is_file() and "report" not in path.parts
    }
    for name in names:
        known = "<module>.safetensors" if name == "network.safetensors" else name
        assert known in text, name
