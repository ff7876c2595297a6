"""One flipped byte, anywhere: found when read, listed and mended by the doctor, never in a report."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import harness
import pytest

pytestmark = pytest.mark.slow


def mmbench(*words, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "mmbench", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def problems(protocol, **options):
    done = mmbench("doctor", protocol.parent / "results", "--json", **options)
    found = json.loads(done.stdout)["problems"]
    assert done.returncode == (1 if found else 0)
    return found


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def record_files(protocol):
    return sorted(path for path in (protocol.parent / "results" / "runs").rglob("*") if path.is_file())


FLIPPED = 22 * 15
"""docs/reliability.md says how many: 22 in each of the files of four records."""


def test_any_flipped_byte_of_a_record_is_found_and_never_reported(finished, reference):
    from mmbench.errors import StoreError
    from mmbench.report.build import make_report
    from mmbench.store.store import ResultStore

    choose = random.Random(1)
    results = finished.parent / "results"
    found = 0
    for path in record_files(finished):
        whole = path.read_bytes()
        for place in [0, len(whole) - 1, *choose.sample(range(len(whole)), 20)]:
            flip(path, place)
            with pytest.raises(StoreError, match="mend it with: mmbench doctor"):
                ResultStore(results).verify(path.parent.name)
            path.write_bytes(whole)
            found += 1
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError):
            ResultStore(results).verify(path.parent.name)
        if path.name in ("run.json", "cases.parquet"):
            with pytest.raises(StoreError):
                make_report(results, force=True)
        path.write_bytes(whole)
    assert found == FLIPPED
    assert problems(finished) == []


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("run.json", "flip"),
        ("cases.parquet", "flip"),
        ("cases.parquet", "truncate"),
        ("losses.parquet", "remove"),
        ("run.json", "remove"),
    ],
)
def test_the_doctor_sets_a_bad_record_aside_and_computes_it_again(finished, reference, name, damage):
    path = next(path for path in record_files(finished) if path.name == name)
    if damage == "flip":
        flip(path, path.stat().st_size // 2)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-7])
    else:
        path.unlink()
    (found,) = problems(finished)
    assert (found["kind"], found["run"]) == ("record", path.parent.name)
    results = finished.parent / "results"
    if name != "losses.parquet":
        refused = mmbench("report", results)
        assert refused.returncode == 2
        assert "mmbench doctor" in refused.stderr
        assert refused.stderr.count("\n") == 1
    done = mmbench("doctor", results, "--repair")
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(finished), reference)
    assert problems(finished) == []
    (aside,) = (results / "quarantine").glob(f"{path.parent.name}.*/{path.parent.name}")
    assert (aside / "run.json").exists() or name == "run.json"


def test_a_damaged_plan_is_found_and_written_again(finished):
    plan = finished.parent / "results" / "plan.json"
    plan.write_text(plan.read_text().replace('"umtl_ssl"', '"umtl_sss"'))
    (found,) = problems(finished)
    assert found["kind"] == "plan"
    refused = mmbench("report", plan.parent)
    assert refused.returncode == 2
    assert "plan.json: was changed after it was written" in refused.stderr
    assert harness.finish(finished).returncode == 0
    assert problems(finished) == []


def test_a_damaged_checkpoint_is_found_and_the_cell_starts_over(tmp_path, reference):
    protocol = harness.write_protocol(tmp_path)
    process = harness.start(protocol)
    checkpoints = tmp_path / "results" / "checkpoints"
    while not list(checkpoints.glob("[0-9a-f]*")):
        assert process.poll() is None
    process.kill()
    process.wait()
    saved = sorted(checkpoints.glob("[0-9a-f]*"))
    for path in saved:
        flip(path, path.stat().st_size // 3)
    assert {p["path"] for p in problems(protocol) if p["kind"] == "checkpoint"} == set(map(str, saved))
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    harness.assert_same(harness.outcome(protocol), reference)
    assert len(list((tmp_path / "results" / "quarantine").iterdir())) == len(saved)
    assert "set aside" in next((tmp_path / "results" / "logs").iterdir()).read_text()


def of_this_run(entry):
    """The cache is shared with every other test."""
    meta = json.loads((entry / "meta.json").read_text())
    return (meta["cases"], meta["image_size"]) == (60, 32)


@pytest.mark.parametrize(
    "name", ["images.npy", "masks.npy", "cases.parquet", "fingerprints.npz", "meta.json"]
)
def test_a_damaged_cache_entry_is_found_and_made_again(finished, reference, tmp_path, name, cache_folder):
    cache = tmp_path / "cache"
    shutil.copytree(cache_folder, cache)
    environment = {"MMBENCH_CACHE": str(cache)}
    assert problems(finished, environment=environment) == []
    path = next(folder / name for folder in cache.glob("datasets/phantom-adult_pa-*") if of_this_run(folder))
    flip(path, path.stat().st_size // 2)
    (found,) = problems(finished, environment=environment)
    assert (found["kind"], found["path"]) == ("cache", str(path.parent))
    shutil.rmtree(finished.parent / "results")
    done = subprocess.run(
        [word for word in harness.command(finished) if word != "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the cache entry was damaged and has been made again" in done.stdout
    harness.assert_same(harness.outcome(finished), reference)
    assert problems(finished, environment=environment) == []


def edit_record(folder: Path, change):
    """Rewrite a record as another version of the software would have: its digest is right."""
    from mmbench.store.record import content_digest

    path = folder / "run.json"
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = content_digest(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda record: record["environment"]["packages"].update(torch="1.0"), "torch: "),
        (lambda record: record.update(method_source="0" * 64), "source of "),
    ],
    ids=["library", "source"],
)
def test_records_made_otherwise_are_not_mixed_unless_allowed(finished, change, named):
    results = finished.parent / "results"
    finished.write_text(harness.PROTOCOL + "seeds: 2\n")
    assert harness.finish(finished, "--only", "method=unet,method=multimix").returncode == 0
    folders = sorted((results / "runs").glob("[0-9a-f]*"))
    folder = next(f for f in folders if '"label": "multimix"' in (f / "run.json").read_text())
    edit_record(folder, change)
    for command in (["report", results], ["compare", "unet", "multimix", "--results", results]):
        refused = mmbench(*command)
        assert refused.returncode == 2, refused.stdout
        assert f"records of one table differ in {named}" in refused.stderr
        assert "--allow-mixed" in refused.stderr
        assert refused.stderr.count("\n") == 1
    refused = harness.finish(finished)
    assert refused.returncode == 2
    assert named in refused.stderr

    allowed = mmbench("report", results, "--allow-mixed")
    assert allowed.returncode == 0, allowed.stderr
    for text in (allowed.stdout, (results / "report" / "tables" / "main.md").read_text()):
        assert "Mixed records differ in" in " ".join(text.split())
    assert "Mixed records differ in" in (results / "report" / "index.html").read_text()

    done = harness.finish(finished, "--force", "--only", f"id={folder.name}")
    assert done.returncode == 0, done.stderr
    assert mmbench("report", results).returncode == 0


def test_another_split_or_data_is_another_cell(finished, tmp_path):
    """Data and splits are part of a run's identity: nothing of the old data is found done."""
    text = harness.PROTOCOL.replace("phantom:paediatric_ap, cases: 60", "phantom:paediatric_ap, cases: 61")
    finished.write_text(text)
    done = subprocess.run(
        [*harness.command(finished, "--only", "method=multimix,seed=0"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    summary = json.loads(done.stdout)
    assert (summary["done"], summary["cached"]) == (1, 0)
