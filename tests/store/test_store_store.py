import json
import multiprocessing
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from mmbench.errors import StoreError
from mmbench.store.records import content_digest
from mmbench.store.store import ResultStore
from tests.store.made_records import make_record, put, put_run


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_what_is_written_is_read_back(store, run):
    validation = pd.DataFrame([{"step": 100, "score": 0.5}])
    put_run(store, run, validation=validation, extra=lambda folder: (folder / "w.bin").write_bytes(b"w"))
    assert store.runs.ids() == [run.id]
    record = store.runs.verify(run.id)
    assert record.run == run
    assert record.run.id == run.id
    assert set(record.checksums) == {"losses.parquet", "validation.parquet", "w.bin"}
    assert store.runs.table(run.id, "losses.parquet").to_pydict() == {"step": [1], "dice": [0.5]}
    pd.testing.assert_frame_equal(store.runs.table(run.id, "validation.parquet").to_pandas(), validation)


def test_every_layer_has_records_of_its_own(store, run):
    put(store, run)
    assert [len(layer.ids()) for layer in store.layers] == [1, 4, 4, 4]
    for layer in store.layers:
        for id in layer.ids():
            layer.verify(id)


def test_undefined_numbers_become_null(store, run):
    put(store, run)
    content = json.loads((store.runs.folder(run.id) / "run.json").read_text())
    assert content["last_losses"] == {"dice": 0.25, "ce": None}
    found = [store.scores.read(id) for id in store.scores.ids()]
    assert {record.metrics["auroc"] for record in found if record.task == "classification"} == {None}


def test_the_first_record_stays_unless_replaced(store, run):
    put_run(store, run, 5)
    put_run(store, run, 6)
    assert store.runs.read(run.id).parameters == 5
    put_run(store, run, 7, replace=True)
    assert store.runs.verify(run.id).parameters == 7
    assert [path.name for path in store.runs.home.iterdir()] == [run.id]


def test_an_error_while_replacing_leaves_the_old_record(store, run):
    put_run(store, run, 5)

    def fail(folder):
        raise RuntimeError("no masks")

    with pytest.raises(RuntimeError, match="no masks"):
        put_run(store, run, 7, replace=True, extra=fail)
    assert store.runs.verify(run.id).parameters == 5
    assert [path.name for path in store.runs.home.iterdir()] == [run.id]


def test_an_error_at_the_rename_puts_the_old_record_back(store, run, monkeypatch):
    from pathlib import Path

    put_run(store, run, 5)
    rename, seen = Path.rename, []

    def second_fails(self, target):
        seen.append(target)
        if len(seen) == 2:
            raise OSError(28, "No space left on device", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(StoreError, match="cannot be written \\(No space left on device\\)"):
        put_run(store, run, 7, replace=True)
    assert store.runs.verify(run.id).parameters == 5
    assert [path.name for path in store.runs.home.iterdir()] == [run.id]


def test_a_half_written_record_is_not_there(store, run):
    def fail(folder):
        assert (folder / "losses.parquet").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_run(store, run, extra=fail)
    assert store.runs.ids() == []
    assert list(store.runs.home.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace(": 12,", ": 13,"), "the record was changed after it was written"),
        (lambda text: text[:100], "is not JSON"),
        (lambda text: text.replace(": 12,", ": NaN,"), "is not JSON"),
        (lambda text: "[]", "is not a JSON object"),
    ],
)
def test_a_damaged_record_is_named_with_its_fix(store, run, damage, message):
    put_run(store, run)
    path = store.runs.folder(run.id) / "run.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError) as error:
        store.runs.read(run.id)
    fix = f"fix it with: mmbench doctor {store.root} --repair"
    assert one_line(error) == f"{path}: {message}; {fix}"


def test_records_of_another_version_are_named(store, run):
    put_run(store, run)
    path = store.runs.folder(run.id) / "run.json"
    for change, message in (
        ({"format": 3}, "was written by another version of mmbench"),
        ({"format": 2, "parameters": "many"}, "parameters: not as this version of mmbench writes it"),
    ):
        content = json.loads(path.read_text()) | change
        content["digest"] = content_digest(content)
        path.write_text(json.dumps(content))
        with pytest.raises(StoreError) as error:
            store.runs.read(run.id)
        assert one_line(error).startswith(f"{path}: {message}; fix it with: ")


def test_a_changed_or_missing_table_is_named(store, run):
    put_run(store, run)
    path = store.runs.folder(run.id) / "losses.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError) as error:
        store.runs.table(run.id, "losses.parquet")
    assert one_line(error).startswith(f"{path}: does not match its checksum; fix it with: mmbench doctor ")
    with pytest.raises(StoreError, match="does not match its checksum"):
        store.runs.verify(run.id)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read \\(No such file or directory\\)"):
        store.runs.table(run.id, "losses.parquet")


def test_an_unknown_id_is_a_store_error(store):
    with pytest.raises(StoreError, match="there is no such file"):
        store.runs.read("0" * 16)


def test_failures_come_and_go(store, run):
    store.write_failure(run, "ValueError: boom\nsecond line", "Traceback ...", 3.5, "predictions")
    failure = store.failed()[run.id]
    assert (failure.error, failure.traceback, failure.seconds) == ("ValueError: boom", "Traceback ...", 3.5)
    assert failure.layer == "predictions"
    assert failure.run == run
    store.clear_failure(run.id)
    store.clear_failure(run.id)
    assert store.failed() == {}
    assert not list(store.failures_folder.iterdir())


def test_a_damaged_failure_is_named(store, run):
    store.write_failure(run, "boom")
    path = store.failures_folder / f"{run.id}.json"
    path.write_text("{")
    with pytest.raises(StoreError) as error:
        store.failed()
    assert one_line(error) == f"{path}: is not JSON; fix it with: mmbench doctor {store.root} --repair"


def test_remove_forgets_a_record(store, run):
    put_run(store, run)
    store.runs.remove(run.id)
    store.runs.remove(run.id)
    assert store.runs.ids() == []
    assert list(store.runs.home.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_two_processes_writing_one_cell_are_harmless(store, run, replace):
    def write_many(parameters):
        for _ in range(5):
            put_run(store, run, parameters, replace=replace)

    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(number,)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.runs.verify(run.id).parameters in (1, 2)
    assert [path.name for path in store.runs.home.iterdir()] == [run.id]


def test_a_folder_that_cannot_be_written_is_the_users_to_mend(tmp_path, run):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as error:
        put_run(ResultStore(tmp_path / "file"), run)
    assert re.fullmatch(
        r".*: cannot be written \(Not a directory\); free space, or .*--results", one_line(error)
    )


def test_records_are_listed_fast(store):
    for number in range(1000):
        (store.runs.home / f"{number:016x}").mkdir(parents=True)
    (store.runs.home / ".0000000000000000.tmp").mkdir()
    begin = time.perf_counter()
    assert len(store.runs.ids()) == 1000
    assert time.perf_counter() - begin < 0.5


def test_a_record_does_not_depend_on_numpy_types(run):
    assert json.loads(make_record(run, np.int64(5)).text())["parameters"] == 5


OLD = '{"format": 1, "protocol": {}, "cells": [], "digest": ""}'


@pytest.mark.parametrize("kind", ["plan", "records", "both"])
def test_a_folder_of_the_old_format_is_named_and_not_touched(store, kind):
    if kind in ("plan", "both"):
        store.root.mkdir(parents=True)
        (store.root / "plan.json").write_text(OLD)
    if kind in ("records", "both"):
        (store.root / "cells" / "0123456789abcdef").mkdir(parents=True)
    before = sorted(store.root.rglob("*"))
    for read in (store.load_plan, store.refuse_old_format):
        with pytest.raises(StoreError) as error:
            read()
        assert "holds records of an earlier format" in one_line(error)
        assert "--results ANOTHER_FOLDER" in one_line(error)
    assert sorted(store.root.rglob("*")) == before


def test_the_room_imports_without_torch():
    code = (
        "import sys, mmbench.store.store, mmbench.store.frames, mmbench.store.environment as e\n"
        "e.capture('cuda:0')\n"
        "assert not {'torch', 'pandas', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_changed_digit_that_changes_no_number_is_found(store, run):
    """0.1 + 0.2 is 0.30000000000000004 in floating point, and so is 0.30000000000000005."""
    put_run(store, run, seconds={"load": 0.1 + 0.2, "train": 1.0})
    path = store.runs.folder(run.id) / "run.json"
    text = path.read_text()
    assert float("0.30000000000000005") == 0.1 + 0.2
    path.write_text(text.replace("0.30000000000000004", "0.30000000000000005"))
    assert path.read_text() != text
    with pytest.raises(StoreError, match="is not JSON"):
        ResultStore(store.root).runs.verify(run.id)


def test_a_failure_with_a_small_number_is_read_again(store, run):
    """Python writes 1e-7 as 1e-07, other writers do not."""
    training = run.training.model_copy(
        update={"optimizer": run.training.optimizer.model_copy(update={"learning_rate": 1e-7})}
    )
    store.write_failure(run.model_copy(update={"training": training}), "boom")
    assert [failure.error for failure in store.failed().values()] == ["boom"]
