import time

import pandas as pd
import pytest

from mmbench.errors import StoreError
from mmbench.protocol.loading import parse_protocol
from mmbench.store.frames import (
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    available_scores,
    load_predictions,
    load_runs,
    load_scores,
    summaries,
)
from tests.store.made_records import DOMAINS, make_run, put, put_run, put_scores, specs_of

PROTOCOL = parse_protocol(
    "{name: demo, sources: {classification: kermany}, budgets: {grid: {classification: [100]}}, "
    "methods: [enc]}"
)


def plan_of(store, *runs, domains=DOMAINS):
    store.save_plan(PROTOCOL, runs, domains, {"notes": ["a"]})
    return store.load_plan()


def test_one_row_per_run_domain_task_and_case(store):
    both, single = make_run(), make_run("unet", budgets={"segmentation": 10}, method="unet")
    put(store, both)
    put(store, single)
    plan_of(store, both, single)
    frame = load_scores(store.root)
    assert tuple(frame.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert len(frame) == 2 * 2 * 4 + 2 * 4
    rows = frame[frame["row"] == "unet"]
    assert set(rows["task"]) == {"segmentation"}
    assert set(rows["budget_segmentation"]) == {"10"}
    assert rows["budget_classification"].isna().all()
    assert set(frame.loc[frame["run"] == both.id, "budget_segmentation"]) == {"full"}
    kinds = {name: str(frame[name].dtype) for name in ("subset", "seed", "in_domain", "label")}
    assert kinds == {"subset": "int64", "seed": "int64", "in_domain": "bool", "label": "Int64"}
    assert frame["in_domain"].tolist() == (frame["domain"] == "kermany").tolist()


def test_runs_are_listed_with_what_they_cost(store):
    one, other = make_run(), make_run(seed=1)
    put(store, one, selected_step=100, kept=True)
    plan_of(store, one, other)
    (row,) = load_runs(store.root).to_dict("records")
    assert (row["run"], row["seconds"], row["parameters"]) == (one.id, 1.5, 12)
    assert (row["selected_step"], row["weights"]) == (100, True)


def test_predictions_have_their_ground_truth(store):
    run = make_run(budgets={"classification": 100})
    put(store, run)
    plan_of(store, run)
    frame = load_predictions(store.root, domain="nih")
    assert set(frame["domain"]) == {"nih"}
    assert frame["label"].tolist() == [0, 1, 0, 1]
    assert frame["pneumonia"].dtype == "float32"
    assert frame["pneumonia"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-7)


@pytest.mark.parametrize("load", [load_runs, load_predictions, load_scores])
def test_nothing_there_is_the_users_to_fix(store, load):
    with pytest.raises(StoreError, match=r"no plan.json, so no results folder; make it with: mmbench run"):
        load(store.root)
    plan_of(store, make_run())
    with pytest.raises(StoreError, match=r"holds no .*; make it with: mmbench run"):
        load(store.root)


def test_summaries_are_long_and_open_no_tables(store):
    run = make_run()
    put(store, run)
    for path in store.root.rglob("*.parquet"):
        path.unlink()
    frame = summaries(store, available_scores(store, plan_of(store, run)))
    assert tuple(frame.columns) == SUMMARY_COLUMNS
    assert len(frame) == 2 * 2 + 2
    values = frame.set_index(["domain", "metric"])["value"]
    assert values["nih", "accuracy"] == 0.75
    assert pd.isna(values["kermany", "auroc"])
    assert frame["in_domain"].tolist() == (frame["domain"] == "kermany").tolist()
    assert set(frame["cases"]) == {4}


def test_summaries_of_nothing_have_the_columns(store):
    frame = summaries(store, available_scores(store, plan_of(store, make_run())))
    assert frame.empty
    assert tuple(frame.columns) == SUMMARY_COLUMNS


def test_the_plan_says_which_runs_count_and_what_rows_and_domains_are_called(store):
    old, kept, missing = (make_run(seed=seed) for seed in range(3))
    put(store, old)
    put(store, kept)
    renamed = kept.model_copy(update={"label": "UMTL (ours)"})
    elsewhere = {
        task: [domains[0], domains[1].model_copy(update={"domain": "elsewhere"})]
        for task, domains in DOMAINS.items()
    }
    plan = plan_of(store, missing, renamed, domains=elsewhere)
    frame = summaries(store, available_scores(store, plan))
    assert set(frame["run"]) == {kept.id}
    assert set(frame["row"]) == {"UMTL (ours)"}
    assert set(frame["domain"]) == {"kermany", "elsewhere"}
    assert set(load_scores(store.root)["row"]) == {"UMTL (ours)"}


def test_predictions_of_other_weights_do_not_count(store):
    run = make_run()
    put(store, run)
    plan = plan_of(store, run)
    put_run(store, run, product="0" * 64, replace=True)
    assert summaries(store, available_scores(store, plan)).empty
    for spec in specs_of(run)[:1]:
        put_scores(store, spec, product="0" * 64, replace=True)
    assert len(summaries(store, available_scores(store, plan))) == 2


def test_scores_of_other_predictions_do_not_count(store):
    run = make_run()
    put(store, run)
    plan = plan_of(store, run)
    spec = specs_of(run)[0]
    changed = store.predictions.read(spec.predictions.id).model_copy(
        update={"contents": {"probabilities": "0" * 64}}
    )
    store.predictions.write(changed, lambda folder: None, replace=True)
    assert set(summaries(store, available_scores(store, plan))["task"]) == {"classification", "segmentation"}
    left = summaries(store, available_scores(store, plan))
    assert len(left) == 2 + 2, "one of the two classification domains is gone"


def test_a_run_whose_training_failed_since_does_not_count(store):
    run = make_run()
    put(store, run)
    plan = plan_of(store, run)
    store.write_failure(run, "boom", layer="scores")
    assert len(summaries(store, available_scores(store, plan))) == 6
    store.write_failure(run, "boom")
    assert summaries(store, available_scores(store, plan)).empty


def test_the_plan_is_read_back(store):
    assert not store.has_plan()
    runs = [make_run(seed=seed) for seed in range(2)]
    plan = plan_of(store, *runs)
    assert plan.protocol == PROTOCOL
    assert plan.runs == runs
    assert plan.domains == DOMAINS
    assert plan.report == {"notes": ["a"]}
    assert plan.scores(runs[0]) == specs_of(runs[0])
    (store.root / "plan.json").write_text("{}")
    with pytest.raises(StoreError, match=r"plan.json: protocol: not as this version of mmbench writes it"):
        store.load_plan()


def test_summaries_are_fast(store):
    runs = [make_run(seed=seed) for seed in range(100)]
    for run in runs:
        put(store, run)
    plan = plan_of(store, *runs)
    store = type(store)(store.root)
    begin = time.perf_counter()
    assert summaries(store, available_scores(store, plan))["run"].nunique() == 100
    assert time.perf_counter() - begin < 2
