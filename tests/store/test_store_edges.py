"""What a change of the code could break without any other test of the store: found by mutating it."""

import json
import re

import numpy as np
import pytest

from mmbench.errors import StoreError
from mmbench.store.frames import load_predictions
from mmbench.store.looks import Look, Looks, read_looks, write_looks
from mmbench.store.masks import mask_arrays
from mmbench.store.missing import is_predicted, is_scored
from mmbench.store.mixtures import making, mixtures
from mmbench.store.store import MASKS
from mmbench.store.upkeep import leftovers, quarantine, sweep
from tests.store.made_records import PRODUCT, make_run, put_run, put_scores, specs_of
from tests.store.test_store_frames import plan_of

MASKED = make_run(budgets={"segmentation": 5})


def put_masks(store, seed=0):
    """Store predicted and true masks of one run on its first domain, and return them."""
    random = np.random.default_rng(seed)
    found, truth = random.random((4, 64, 64), dtype=np.float32), random.random((4, 64, 64)) > 0.5
    put_run(store, MASKED)
    put_scores(store, specs_of(MASKED)[0], masks=found, truth=truth)
    return found >= 0.5, truth


def test_masks_are_columns_of_their_frame(store):
    masks, truth = put_masks(store)
    plan_of(store, MASKED)
    frame = load_predictions(store.root, task="segmentation")
    assert frame.index.tolist() == [0, 1, 2, 3]
    for case in range(4):
        assert frame["mask"][case].dtype == bool
        np.testing.assert_array_equal(frame["mask"][case], masks[case])
        np.testing.assert_array_equal(frame["truth"][case], truth[case])


def test_predictions_of_several_runs_have_rows_of_their_own(store):
    runs = [make_run(budgets={"classification": 100}, seed=seed) for seed in (0, 1)]
    for run in runs:
        put_run(store, run)
        put_scores(store, specs_of(run)[0])
    plan_of(store, *runs)
    frame = load_predictions(store.root)
    assert frame.index.tolist() == list(range(8))
    assert frame["seed"].tolist() == [0] * 4 + [1] * 4


def test_probabilities_keep_an_axis_of_structures_only_where_there_are_several():
    one, two = np.zeros((3, 1, 4, 4), dtype=np.float32), np.zeros((3, 2, 4, 4), dtype=np.float32)
    assert mask_arrays(one, [0.5], 8)["probabilities"].shape == (3, 4, 4)
    assert mask_arrays(two, [0.5], 8)["probabilities"].shape == (3, 2, 4, 4)
    assert set(mask_arrays(one, [0.5], 0)) == {"mask 0.5"}


def test_arrays_are_never_unpickled(store, monkeypatch):
    """A pickle runs code when it is read; a record that came from elsewhere may hold one."""
    put_masks(store)
    id = specs_of(MASKED)[0].predictions.id
    with (store.predictions.folder(id) / MASKS).open("wb") as file:
        np.savez(file, pickled=np.array([{"a": 1}], dtype=object))
    monkeypatch.setattr(type(store.predictions), "path", lambda layer, id, name: layer.folder(id) / name)
    with pytest.raises(StoreError, match="does not hold arrays"):
        store.predictions.arrays(id, MASKS)


def test_predictions_need_their_ground_truth_and_their_runs_weights(store):
    put_masks(store)
    spec = specs_of(MASKED)[0]
    assert is_predicted(store, spec, PRODUCT)
    assert not is_predicted(store, spec, "0" * 64)
    store.ground_truth.remove(spec.predictions.ground_truth)
    assert not is_predicted(store, spec, PRODUCT)


def test_scores_outlive_predictions_that_were_lost(store):
    put_masks(store)
    spec = specs_of(MASKED)[0]
    assert is_scored(store, spec)
    store.predictions.remove(spec.predictions.id)
    assert is_scored(store, spec)
    assert not is_predicted(store, spec, PRODUCT)


def test_what_is_absent_differs_from_what_is_there():
    full = {
        "engine": "a" * 64,
        "method_source": "b" * 64,
        "environment": {"packages": {"numpy": "2.0"}, "device": "cpu: EPYC"},
    }
    assert mixtures([making("run", "umtl", full), making("run", "umtl", full)]) == []
    found = [str(mixture) for mixture in mixtures([making("run", "umtl", full), making("run", "umtl", {})])]
    assert sorted(text.partition(":")[0] for text in found) == [
        "device of run",
        "engine's source for run",
        "numpy",
        "source of umtl",
    ]
    assert all("absent (1 record)" in text for text in found)
    assert making("run", "umtl", {}).distribution == ""


def test_looks_are_read_back_and_not_after_a_change(store):
    looks = Looks(schedule=[3, 5], alpha=0.05, family=2, looks=[Look(seeds=3, spent=0.01)])
    write_looks(store, looks)
    found = read_looks(store)
    assert found is not None
    assert found.model_copy(update={"digest": ""}) == looks
    path = store.root / "looks.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "alpha": 0.5}))
    with pytest.raises(StoreError, match=f"{re.escape(str(path))}: was changed after it was written"):
        read_looks(store)
    path.write_text("{")
    with pytest.raises(StoreError, match="remove it to begin the design anew, or restore it"):
        read_looks(store)


def test_what_is_set_aside_lies_in_the_quarantine_under_its_name(store):
    path = store.root / "runs" / "abc"
    path.parent.mkdir(parents=True)
    path.write_text("damaged")
    for _ in range(2):
        moved = quarantine(store, path)
        assert moved.read_text() == "damaged"
        assert (moved.name, moved.parent.parent) == ("abc", store.quarantine_folder)
        assert moved.parent.name.startswith("abc.")
        path.write_text("damaged")


def test_a_sweep_clears_what_it_is_told_to_and_nothing_else(store):
    one, other = "0" * 16, "1" * 16
    home = store.runs.home
    for id in (one, other):
        (home / f".{id}.tmp").mkdir(parents=True)
    kept = home / f".{one}.old.x" / one
    kept.mkdir(parents=True)
    (kept / "run.json").write_text("old")
    assert {id for id, _ in leftovers(store)} == {one, other}
    sweep(store, {one})
    assert [(id, path.name) for id, path in leftovers(store)] == [(other, f".{other}.tmp")]
    assert (home / one / "run.json").read_text() == "old"  # set aside, never replaced: put back
