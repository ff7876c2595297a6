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
from mmbench.store.record import content_digest
from mmbench.store.store import ResultStore


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_what_is_written_is_read_back(store, run, tools):
    validation = pd.DataFrame([{"step": 100, "score": 0.5}])
    tools.put(
        store, run, validation=validation, extra_files=lambda folder: (folder / "w.bin").write_bytes(b"w")
    )
    assert store.finished() == {run.id}
    record = store.verify(run.id)
    assert record.run == run
    assert record.run.id == run.id
    assert set(record.checksums) == {"cases.parquet", "losses.parquet", "validation.parquet", "w.bin"}
    pd.testing.assert_frame_equal(store.cases(run.id), tools.make_cases(run))
    assert store.losses(run.id).to_dict("list") == {"step": [1], "dice": [0.5]}
    pd.testing.assert_frame_equal(store.validation(run.id), validation)


def test_undefined_numbers_become_null(store, run, tools):
    tools.put(store, run)
    content = json.loads((store.folder(run.id) / "run.json").read_text())
    assert content["summary"][0]["metrics"] == {"accuracy": 0.75, "auroc": None}
    assert content["last_losses"] == {"dice": 0.25, "ce": None}
    assert store.read(run.id).summary[0].metrics["auroc"] is None


def test_a_floor_without_losses_is_a_record(store, run, tools):
    store.write(tools.make_record(run), tools.make_cases(run), pd.DataFrame())
    assert store.losses(run.id).empty
    assert store.validation(run.id) is None


def test_the_first_record_stays_unless_replaced(store, run, tools):
    tools.put(store, run, 0.5)
    tools.put(store, run, 0.6)
    assert store.read(run.id).summary[0].metrics["accuracy"] == 0.5
    tools.put(store, run, 0.7, replace=True)
    assert store.verify(run.id).summary[0].metrics["accuracy"] == 0.7
    assert [path.name for path in store.runs_folder.iterdir()] == [run.id]


def test_an_error_while_replacing_leaves_the_old_record(store, run, tools):
    tools.put(store, run, 0.5)

    def fail(folder):
        raise RuntimeError("no masks")

    with pytest.raises(RuntimeError, match="no masks"):
        tools.put(store, run, 0.7, replace=True, extra_files=fail)
    assert store.verify(run.id).summary[0].metrics["accuracy"] == 0.5
    assert [path.name for path in store.runs_folder.iterdir()] == [run.id]


def test_an_error_at_the_rename_puts_the_old_record_back(store, run, tools, monkeypatch):
    from pathlib import Path

    tools.put(store, run, 0.5)
    rename, seen = Path.rename, []

    def second_fails(self, target):
        seen.append(target)
        if len(seen) == 2:
            raise OSError(28, "No space left on device", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(StoreError, match="cannot be written \\(No space left on device\\)"):
        tools.put(store, run, 0.7, replace=True)
    assert store.verify(run.id).summary[0].metrics["accuracy"] == 0.5
    assert [path.name for path in store.runs_folder.iterdir()] == [run.id]


def test_a_half_written_record_is_not_there(store, run, tools):
    def fail(folder):
        assert (folder / "cases.parquet").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tools.put(store, run, extra_files=fail)
    assert store.finished() == set()
    assert list(store.runs_folder.iterdir()) == []


def test_a_record_of_another_cell_is_refused(store, run, tools):
    record = tools.make_record(run).model_copy(update={"id": "0" * 16})
    with pytest.raises(ValueError, match="is not of run"):
        store.write(record, tools.make_cases(run), pd.DataFrame())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("0.75", "0.95"), "the record was changed after it was written"),
        (lambda text: text[:100], "is not JSON"),
        (lambda text: text.replace("0.75", "NaN"), "is not JSON"),
        (lambda text: "[]", "is not a JSON object"),
    ],
)
def test_a_damaged_record_is_named_with_its_mend(store, run, tools, damage, message):
    tools.put(store, run)
    path = store.folder(run.id) / "run.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError) as error:
        store.read(run.id)
    mend = f"mend it with: mmbench doctor {store.root} --repair"
    assert one_line(error) == f"{path}: {message}; {mend}"


def test_records_of_another_version_are_named(store, run, tools):
    tools.put(store, run)
    path = store.folder(run.id) / "run.json"
    for change, message in (
        ({"format": 2}, "was written by another version of mmbench"),
        ({"format": 1, "parameters": "many"}, "parameters: not as this version of mmbench writes it"),
    ):
        content = json.loads(path.read_text()) | change
        content["digest"] = content_digest(content)
        path.write_text(json.dumps(content))
        with pytest.raises(StoreError) as error:
            store.read(run.id)
        assert one_line(error).startswith(f"{path}: {message}; mend it with: ")


def test_a_changed_or_missing_table_is_named(store, run, tools):
    tools.put(store, run)
    path = store.folder(run.id) / "cases.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError) as error:
        store.cases(run.id)
    assert one_line(error).startswith(f"{path}: does not match its checksum; mend it with: mmbench doctor ")
    with pytest.raises(StoreError, match="does not match its checksum"):
        store.verify(run.id)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read \\(No such file or directory\\)"):
        store.cases(run.id)


def test_an_unknown_id_is_a_store_error(store):
    with pytest.raises(StoreError, match="there is no such file"):
        store.read("0" * 16)


def test_failures_come_and_go(store, run, tools):
    store.write_failure(run, "ValueError: boom\nsecond line", "Traceback ...", 3.5)
    failure = store.failed()[run.id]
    assert (failure.error, failure.traceback, failure.seconds) == ("ValueError: boom", "Traceback ...", 3.5)
    assert failure.run == run
    tools.put(store, run)
    assert store.failed() == {}
    assert not list(store.failures_folder.iterdir())


def test_a_failed_replacement_counts_as_failed_and_keeps_the_record_on_the_disk(store, run, tools):
    tools.put(store, run)
    store.write_failure(run, "boom")
    assert store.finished() == set()
    assert set(store.failed()) == {run.id}
    assert store.read(run.id).id == run.id
    store.clear_failure(run.id)
    assert store.finished() == {run.id}


def test_a_damaged_failure_is_named(store, run):
    store.write_failure(run, "boom")
    path = store.failures_folder / f"{run.id}.json"
    path.write_text("{")
    with pytest.raises(StoreError) as error:
        store.failed()
    assert one_line(error) == f"{path}: is not JSON; mend it with: mmbench doctor {store.root} --repair"


def test_remove_forgets_a_cell(store, run, tools):
    tools.put(store, run)
    store.remove(run.id)
    store.remove(run.id)
    assert store.finished() == set()
    assert list(store.runs_folder.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_two_processes_writing_one_cell_are_harmless(store, run, tools, replace):
    def write_many(accuracy):
        for _ in range(5):
            tools.put(store, run, accuracy, replace=replace)

    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(0.1 * number,)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.verify(run.id).summary[0].metrics["accuracy"] in (0.1, 0.2)
    assert [path.name for path in store.runs_folder.iterdir()] == [run.id]


def test_a_folder_that_cannot_be_written_is_the_users_to_mend(tmp_path, run, tools):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as error:
        tools.put(ResultStore(tmp_path / "file"), run)
    assert re.fullmatch(
        r".*: cannot be written \(Not a directory\); free space, or .*--results", one_line(error)
    )


def test_finished_is_fast_for_a_thousand_cells(store):
    for number in range(1000):
        (store.runs_folder / f"{number:016x}").mkdir(parents=True)
    (store.runs_folder / ".0000000000000000.tmp").mkdir()
    begin = time.perf_counter()
    assert len(store.finished()) == 1000
    assert time.perf_counter() - begin < 0.5


def test_a_record_does_not_depend_on_numpy_types(store, run, tools):
    record = tools.make_record(run, accuracy=np.float64(0.5))
    assert json.loads(record.text())["summary"][0]["metrics"]["accuracy"] == 0.5


def test_the_room_imports_without_torch():
    code = (
        "import sys, mmbench.store.store, mmbench.store.frames, mmbench.store.environment as e\n"
        "e.capture('cuda:0')\n"
        "assert not {'torch', 'pandas', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
