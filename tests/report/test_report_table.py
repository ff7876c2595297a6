"""The one table model: what its entries show, the best, and lines that say the same."""

from dataclasses import replace

import pytest

from mmbench.analysis.analysis import analyse
from mmbench.analysis.matrix import matrix_of
from mmbench.analysis.results import read_results
from mmbench.report.csv_files import wide_frame
from mmbench.report.latex import latex_table
from mmbench.report.markdown import markdown_table
from mmbench.report.table import interval_table, spread_table
from tests.analysis.analysed import TRIVIAL
from tests.analysis.made_up import write_results


@pytest.fixture(scope="module")
def with_trivial(tmp_path_factory):
    """An analysis in which one row counts as a trivial baseline."""
    root = tmp_path_factory.mktemp("results") / "r"
    store = write_results(root, {"plain": 0.0, "stronger": 2.0, "constant": -1.0}, seeds=3, cases=24)
    plan = store.load_plan()
    report = {**plan.report, "trivial_baselines": ["constant"]}
    store.save_plan(plan.protocol, plan.runs, plan.domains, report)
    return analyse(read_results(root))


def test_both_tables_have_the_same_cells_columns_and_means(with_trivial):
    spread, intervals = spread_table(with_trivial.matrix), interval_table(with_trivial)
    assert [line.cell for line in spread.lines] == [line.cell for line in intervals.lines]
    assert spread.columns == intervals.columns
    for one, other in zip(spread.lines, intervals.lines, strict=True):
        for entry, judged in zip(one.entries, other.entries, strict=True):
            if entry.n:
                assert entry.mean == pytest.approx(judged.mean)
                assert entry.sd == pytest.approx(judged.sd)
                assert judged.low <= judged.mean <= judged.high


def test_the_best_is_a_learner_at_the_same_budgets(with_trivial):
    table = interval_table(with_trivial)
    for place, column in enumerate(table.columns):
        for budget in ("10", "full"):
            own = [line for line in table.lines if line.cell.classification == budget]
            learners = [line for line in own if not line.cell.trivial]
            means = [column.sign * line.entries[place].mean for line in learners]
            best = [line for line in own if line.entries[place].best]
            assert best == [line for line, mean in zip(learners, means, strict=True) if mean == max(means)]


def test_equal_trivial_lines_are_shown_once_and_kept_in_files(with_trivial):
    table = interval_table(with_trivial)
    assert len(table.shown) == len(table.lines), "they differ"
    first = next(line for line in table.lines if line.cell.trivial)
    same = [replace(line, entries=first.entries) if line.cell.trivial else line for line in table.lines]
    merged = replace(table, lines=tuple(same))
    (only,) = [line for line in merged.shown if line.cell.trivial]
    assert only.budgets == ("any", "any")
    assert len(wide_frame(merged)) == len(table.lines)
    assert markdown_table(merged).count("| *constant* |") == 1
    assert latex_table(merged).count(r"\emph{constant}") == 1


def test_a_part_has_only_lines_that_say_something(results, protocol):
    table = spread_table(matrix_of(results, protocol, TRIVIAL))
    part = table.part([column for column in table.columns if column.task == "segmentation"])
    assert {line.cell.row for line in part.lines} == {"unet", "MultiMix", "mean_mask"}
    assert all(len(line.entries) == len(part.columns) for line in part.lines)
