"""Reports on several processors say the same."""

import pandas as pd
import pytest

from mmbench.analysis import parallel
from mmbench.analysis.analysis import analyse
from mmbench.report.figures import draw_figures


def test_other_processes_compute_and_draw_the_same(made_up, analysis, tmp_path, monkeypatch):
    here = draw_figures(analysis, tmp_path / "here")
    monkeypatch.setattr(parallel, "WORTH_IT", 0)
    spread = analyse(made_up)
    assert spread is not None
    for name in ("estimates", "comparisons", "ranks", "variance", "curves", "cases"):
        pd.testing.assert_frame_equal(getattr(spread, name), getattr(analysis, name))
    assert spread.records.cliques == analysis.records.cliques
    there = draw_figures(spread, tmp_path / "there")
    assert [figure.name for figure in there] == [figure.name for figure in here]
    for one, other in zip(here, there, strict=True):
        assert one.svg.read_bytes() == other.svg.read_bytes()


def test_answers_come_in_order_and_errors_come_through(monkeypatch):
    monkeypatch.setattr(parallel, "WORTH_IT", 0)
    assert parallel.in_parallel(divmod, [(7, 2), (9, 4), (5, 5)], 1) == [(3, 1), (2, 1), (1, 0)]
    with pytest.raises(ZeroDivisionError):
        parallel.in_parallel(divmod, [(7, 2), (1, 0)], 1)
