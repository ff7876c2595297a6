import time

import pandas as pd
import pytest

from mmbench.errors import StoreError
from mmbench.protocol.files import parse_protocol
from mmbench.store.frames import RUN_COLUMNS, SUMMARY_COLUMNS, load_results, summaries

PROTOCOL = parse_protocol(
    "{name: demo, sources: {classification: kermany}, budgets: {grid: {classification: [100]}}, methods: [enc]}"
)


def test_one_row_per_cell_domain_task_and_case(store, tools):
    both, single = tools.make_cell(), tools.make_cell("unet", budgets={"segmentation": 10}, method="unet")
    tools.put(store, both)
    tools.put(store, single)
    frame = load_results(store.root)
    assert tuple(frame.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert len(frame) == 2 * 2 * 4 + 2 * 4
    rows = frame[frame["row"] == "unet"]
    assert set(rows["task"]) == {"segmentation"}
    assert set(rows["budget_segmentation"]) == {"10"}
    assert rows["budget_classification"].isna().all()
    assert set(frame.loc[frame["run"] == both.id, "budget_segmentation"]) == {"full"}
    assert frame["subset"].dtype == "int64"


def test_no_records_is_the_users_to_mend(store):
    with pytest.raises(StoreError, match="holds no records; make them with: mmbench run"):
        load_results(store.root)


def test_summaries_are_long_and_open_no_tables(store, tools):
    run = tools.make_cell()
    tools.put(store, run)
    for path in store.folder(run.id).glob("*.parquet"):
        path.unlink()
    frame = summaries(store)
    assert tuple(frame.columns) == SUMMARY_COLUMNS
    assert len(frame) == 2 * 2 + 2
    values = frame.set_index(["domain", "metric"])["value"]
    assert values["nih", "accuracy"] == 0.75
    assert pd.isna(values["kermany", "auroc"])
    assert frame["in_domain"].tolist() == (frame["domain"] == "kermany").tolist()
    assert set(frame["cases"]) == {4}


def test_summaries_of_nothing_have_the_columns(store):
    frame = summaries(store)
    assert frame.empty
    assert tuple(frame.columns) == SUMMARY_COLUMNS


def test_the_plan_says_which_cells_count_and_what_rows_are_called(store, tools):
    old, kept, missing = (tools.make_cell(seed=seed) for seed in range(3))
    tools.put(store, old)
    tools.put(store, kept)
    renamed = kept.model_copy(update={"label": "UMTL (ours)"})
    store.save_plan(PROTOCOL, [missing, renamed], {"notes": ["a"]})
    frame = summaries(store)
    assert set(frame["run"]) == {kept.id}
    assert set(frame["row"]) == {"UMTL (ours)"}
    assert set(load_results(store.root)["row"]) == {"UMTL (ours)"}
    assert set(summaries(store, [old.id, missing.id])["run"]) == {old.id}


def test_the_plan_is_read_back(store, tools):
    assert not store.has_plan()
    with pytest.raises(StoreError, match=r"no plan.json, so no results folder; make it with: mmbench run"):
        store.load_plan()
    runs = [tools.make_cell(seed=seed) for seed in range(2)]
    store.save_plan(PROTOCOL, runs, {"cases": {"classification kermany": 624}})
    plan = store.load_plan()
    assert plan.protocol == PROTOCOL
    assert plan.runs == runs
    assert plan.report == {"cases": {"classification kermany": 624}}
    (store.root / "plan.json").write_text("{}")
    with pytest.raises(StoreError, match=r"plan.json: protocol: not as this version of mmbench writes it"):
        store.load_plan()


def test_summaries_are_fast(store, tools):
    tools.put(store, tools.make_cell())
    for seed in range(1, 100):
        run = tools.make_cell(seed=seed)
        folder = store.folder(run.id)
        folder.mkdir()
        (folder / "run.json").write_text(tools.make_record(run).sealed({}).text())
    begin = time.perf_counter()
    assert summaries(store)["run"].nunique() == 100
    assert time.perf_counter() - begin < 1
