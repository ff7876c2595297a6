"""What a report folder holds, and when it is written again."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from mmbench.errors import StoreError
from mmbench.files import digest_code, digest_file
from mmbench.report.build import WRITING, Extras, make_report
from mmbench.store.lease import lease
from mmbench.store.store import ResultStore
from tests.analysis.made_up import write_results


@pytest.fixture
def results(tmp_path):
    write_results(tmp_path / "small", ["plain", "other"], seeds=2, budgets=("full",), cases=20)
    return tmp_path / "small"


def test_everything_is_in_one_folder(results):
    made = make_report(results)
    names = {path.relative_to(made.folder).as_posix() for path in made.paths}
    assert "index.html" in names
    for name in ("main", "primary"):
        assert {f"tables/{name}.{kind}" for kind in ("md", "csv", "tex")} <= names
    assert {f"tables/{name}.parquet" for name in ("estimates", "comparisons", "cases")} <= names
    drawn = {name for name in names if name.startswith("figures/")}
    assert {name for name in drawn if name.endswith(".svg")}
    assert len([name for name in drawn if name.endswith(".png")]) == len(drawn) / 2
    for path in made.paths:
        assert path.stat().st_size > 100, path


def test_links_to_records_lead_there_from_wherever_the_report_is(results, tmp_path):
    for folder in (None, tmp_path / "a" / "deep" / "place"):
        made = make_report(results, folder)
        text = made.page.read_text(encoding="utf-8")
        run = ResultStore(results).load_plan().runs[0].id
        start = text.index(f"{run}/run.json")
        link = text[text.rindex('href="', 0, start) + 6 : start] + f"{run}/run.json"
        assert (made.folder / link).resolve().is_file()


def test_nothing_changed_is_not_written_again(results):
    first = make_report(results)
    stamp = first.page.stat().st_mtime_ns
    again = make_report(results)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.page.stat().st_mtime_ns == stamp
    assert set(again.paths) == set(first.paths)
    assert make_report(results, force=True).fresh


def test_one_writes_while_the_others_wait_and_find_it_written(results):
    """Runs that share a results folder end together; one read a figure that another had just emptied."""
    with ThreadPoolExecutor() as pool:
        with lease(results / "report", WRITING) as held:
            assert held
            waiting = [pool.submit(make_report, results) for _ in range(3)]
            with pytest.raises(TimeoutError):
                waiting[0].result(timeout=1)
            assert [path.name for path in (results / "report").iterdir()] == [f"{WRITING}.1"]
        assert sorted(future.result().fresh for future in waiting) == [False, False, True]
    assert not list((results / "report").glob(f"{WRITING}*"))


def test_a_changed_record_or_a_missing_file_is_written_again(results):
    made = make_report(results)
    (made.folder / "tables" / "main.csv").unlink()
    assert make_report(results).fresh
    store = ResultStore(results)
    store.runs.remove(store.load_plan().runs[0].id)
    assert make_report(results).fresh
    (made.folder / "report.json").write_text("{")
    assert make_report(results).fresh


@pytest.mark.parametrize(
    "part",
    [
        "stats/ranks.py",
        "analysis/scored.py",
        "report/table.py",
        "report/page/script.js",
        "evaluation/segmentation.py",
        "claims/ledger.py",
        "protocol/metrics.py",
        "published/haque",
    ],
)
def test_changed_source_or_ledger_is_written_again(results, monkeypatch, part):
    """Everything that a number on the page depends on counts, as if one of its files had been edited."""
    make_report(results)
    edited = []

    def digest(path):
        if part in path.as_posix():
            edited.append(path)
            return "edited"
        return digest_file(path)

    monkeypatch.setattr("mmbench.files.digest_file", digest)
    digest_code.cache_clear()
    try:
        assert make_report(results).fresh
        assert edited
    finally:
        digest_code.cache_clear()


def test_other_source_does_not_matter(results, monkeypatch):
    make_report(results)
    monkeypatch.setattr(
        "mmbench.files.digest_file",
        lambda path: "edited" if "/training/" in path.as_posix() else digest_file(path),
    )
    digest_code.cache_clear()
    try:
        assert not make_report(results).fresh
    finally:
        digest_code.cache_clear()


def test_what_a_report_shows_beside_is_kept_when_it_is_only_refreshed(results):
    make_report(results, extras=Extras(with_published=True))
    assert not make_report(results).fresh
    assert make_report(results, extras=Extras()).fresh


def test_the_same_records_give_the_same_files(results, tmp_path):
    one, other = make_report(results, tmp_path / "a"), make_report(results, tmp_path / "b")
    for path in one.paths:
        name = path.relative_to(one.folder)
        if path.suffix not in {".parquet"}:
            assert path.read_bytes() == (other.folder / name).read_bytes(), name


def test_no_finished_cell_writes_nothing(results):
    shutil.rmtree(results / "runs")
    made = make_report(results)
    assert made.main is None
    assert not made.folder.exists()


def test_a_damaged_record_is_named(results):
    scored = next(iter(ResultStore(results).scores.ids()))
    with (results / "scores" / scored / "cases.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(StoreError, match=scored):
        make_report(results)


def test_as_json_is_the_table(results):
    content = json.loads(json.dumps(make_report(results).as_json()))
    frame = pd.DataFrame(content["rows"])
    assert set(frame["row"]) == {"plain", "other"}
