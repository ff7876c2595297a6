"""One flipped byte, anywhere: found when read, listed and repaired by the doctor, never in a report."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults import harness

pytestmark = pytest.mark.slow


def faults(protocol, **options):
    return harness.faults(protocol.parent / "results", **options)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


FOLDERS = ("runs", "predictions", "scores", "ground_truth")


def record_files(protocol, folder):
    return sorted(path for path in (protocol.parent / "results" / folder).rglob("*") if path.is_file())


FLIPPED_PER_FILE = 6


def test_the_documentation_says_how_many_bytes_are_flipped(finished):
    files = sum(len(record_files(finished, folder)) for folder in FOLDERS)
    page = Path(__file__).parents[2] / "docs" / "reliability.md"
    assert f"| flipped bytes in records, found | all of {files * FLIPPED_PER_FILE} |" in page.read_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_any_flipped_byte_of_a_record_is_found(finished, folder):
    from mmbench.errors import StoreError
    from mmbench.store.store import ResultStore

    choose = random.Random(1)
    results = finished.parent / "results"
    files = record_files(finished, folder)
    assert len(files) >= 6
    for path in files:
        whole = path.read_bytes()
        for place in [0, len(whole) - 1, *choose.sample(range(len(whole)), FLIPPED_PER_FILE - 2)]:
            flip(path, place)
            with pytest.raises(StoreError, match="fix it with: mmbench doctor"):
                getattr(ResultStore(results), folder).verify(path.parent.name)
            path.write_bytes(whole)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError):
            getattr(ResultStore(results), folder).verify(path.parent.name)
        path.write_bytes(whole)
    assert faults(finished) == []


def test_a_report_shows_nothing_damaged(finished):
    from mmbench.errors import StoreError
    from mmbench.report.build import make_report

    results = finished.parent / "results"
    for folder in ("runs", "predictions", "scores"):
        for path in record_files(finished, folder):
            if path.suffix != ".json" and path.name != "cases.parquet":
                continue  # no number of a report is read from it
            whole = path.read_bytes()
            flip(path, len(whole) // 2)
            with pytest.raises(StoreError):
                make_report(results, force=True)
            path.write_bytes(whole)


NAMES = {
    "run.json": "run",
    "losses.parquet": "run",
    "network.safetensors": "run",
    "predictions.json": "predictions",
    "masks.npz": "predictions",
    "probabilities.parquet": "predictions",
    "scores.json": "scores",
    "cases.parquet": "scores",
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, "flip") for name in NAMES),
        ("run.json", "remove"),
        ("network.safetensors", "truncate"),
        ("masks.npz", "remove"),
        ("cases.parquet", "truncate"),
    ],
)
def test_the_doctor_sets_a_bad_record_aside_and_makes_it_again(finished, reference, name, damage):
    kind, results = NAMES[name], finished.parent / "results"
    folder = {"run": "runs"}.get(kind, kind)
    path = next(path for path in record_files(finished, folder) if path.name == name)
    if damage == "flip":
        flip(path, path.stat().st_size // 2)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-7])
    else:
        path.unlink()
    (found,) = faults(finished)
    assert (found["kind"], Path(found["path"]).name) == (kind, path.parent.name)
    assert found["run"] in reference
    if name.endswith(".json") or name == "cases.parquet":
        refused = harness.call("report", results)
        assert refused.exit_code == 2
        assert "mmbench doctor" in refused.stderr
        assert refused.stderr.count("\n") == 1
    done = harness.call("doctor", results, "--repair")
    assert done.exit_code == 0, done.stderr
    made = {"run": "1 trained, 0 predicted, 0 scored", "predictions": "0 trained, 1 predicted, 0 scored"}
    assert made.get(kind, "0 trained, 0 predicted, 1 scored") in done.stdout
    harness.assert_same(harness.outcome(finished), reference)
    assert faults(finished) == []
    (aside,) = (results / "quarantine").glob(f"{path.parent.name}.*/{path.parent.name}")
    assert list(aside.iterdir())


def test_damaged_ground_truth_is_found_and_made_again(finished, reference):
    results = finished.parent / "results"
    path = next(path for path in record_files(finished, "ground_truth") if path.name == "masks.npz")
    flip(path, path.stat().st_size // 2)
    (found,) = faults(finished)
    assert (found["kind"], found["run"]) == ("ground_truth", None)
    assert harness.call("doctor", results, "--repair").exit_code == 0
    harness.assert_same(harness.outcome(finished), reference)
    assert faults(finished) == []


@pytest.mark.parametrize(
    ("damaged", "name", "options", "made"),
    [
        # Weights are read for a new prediction: the run is trained again, and the others are not.
        ("runs", "network.safetensors", ("--force", "predictions"), (1, 2, 2)),
        # Predictions are read for new scores.
        ("predictions", "masks.npz", ("--force", "scores"), (0, 1, 2)),
        ("ground_truth", "masks.npz", ("--force", "scores"), (0, 1, 2)),
    ],
)
def test_what_a_command_finds_damaged_it_makes_again_from_the_layer_before(
    finished, reference, damaged, name, options, made
):
    results = finished.parent / "results"
    runs = [p for p in record_files(finished, "runs") if p.name == "run.json"]
    unet = next(p.parent.name for p in runs if json.loads(p.read_text())["run"]["label"] == "unet")
    records = [json.loads(p.read_text()) for p in (results / "predictions").glob("*/predictions.json")]
    own = next(record for record in records if record["run"] == unet)
    id = {"runs": unet, "predictions": own["id"], "ground_truth": own["ground_truth"]}[damaged]
    flip(results / damaged / id / name, 200)
    done = harness.finish(finished, *options, "--only", "method=unet", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["trained"], summary["predicted"], summary["scored"]) == made
    harness.assert_same(harness.outcome(finished), reference)
    assert faults(finished) == []
    log = next((results / "logs").glob("*.log")).read_text()
    assert "set aside as" in log


def test_a_damaged_plan_is_found_and_written_again(finished):
    plan = finished.parent / "results" / "plan.json"
    plan.write_text(plan.read_text().replace('"umtl_ssl"', '"umtl_sss"'))
    (found,) = faults(finished)
    assert found["kind"] == "plan"
    refused = harness.call("report", plan.parent)
    assert refused.exit_code == 2
    assert "plan.json: was changed after it was written" in refused.stderr
    assert harness.finish(finished).returncode == 0
    assert faults(finished) == []


def test_a_damaged_checkpoint_is_found_and_the_run_starts_over(tmp_path, reference):
    protocol = harness.write_protocol(tmp_path)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent / "killer"),
        "MMBENCH_TEST_KILL": "replace:/checkpoints/:after",
        "MMBENCH_TEST_KILL_ONCE": str(tmp_path / "killed"),
    }
    harness.start(protocol, "-j", "1", "--only", "method=unet", env=environment).wait(300)
    (saved,) = (tmp_path / "results" / "checkpoints").glob("[0-9a-f]*")
    flip(saved, saved.stat().st_size // 3)
    assert [p["path"] for p in faults(protocol) if p["kind"] == "checkpoint"] == [str(saved)]
    done = harness.finish(protocol, *(["--retry-failed"] if harness.failures(protocol) else []))
    assert done.returncode == 0, done.stderr
    assert harness.finish(protocol).returncode == 0
    harness.assert_same(harness.outcome(protocol), reference)
    assert len(list((tmp_path / "results" / "quarantine").iterdir())) == 1
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
    assert faults(finished, environment=environment) == []
    path = next(folder / name for folder in cache.glob("datasets/phantom-adult_pa-*") if of_this_run(folder))
    flip(path, path.stat().st_size // 2)
    (found,) = faults(finished, environment=environment)
    assert (found["kind"], found["path"]) == ("cache", str(path.parent))
    shutil.rmtree(finished.parent / "results")
    done = subprocess.run(
        [word for word in harness.command(finished, "--only", "method=unet") if word != "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the cache entry was damaged and has been made again" in done.stdout
    made = harness.outcome(finished)
    assert [harness.count(made, layer) for layer in harness.LAYERS[1:]] == [1, 2, 2]
    harness.assert_same(made, {id: reference[id] for id in made})
    assert faults(finished, environment=environment) == []


def edit_record(path: Path, change):
    """Rewrite a record as another version of the software would have: its digest is right."""
    from mmbench.store.records import content_digest

    content = json.loads(path.read_text())
    change(content)
    content["digest"] = content_digest(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def two_seeds(reference, tmp_path_factory):
    """The uninterrupted run with a second seed of two rows, for others to copy."""
    whole = next(tmp_path_factory.getbasetemp().glob("whole*"))
    folder = tmp_path_factory.mktemp("seeds") / "copy"
    shutil.copytree(whole, folder)
    protocol = folder / "small.yaml"
    protocol.write_text(harness.PROTOCOL + "seeds: 2\n")
    assert harness.finish(protocol, "--only", "method=unet,method=multimix").returncode == 0
    return folder


@pytest.mark.parametrize(
    ("layer", "change", "named"),
    [
        ("run", lambda record: record["environment"]["packages"].update(torch="1.0"), "torch: "),
        ("run", lambda record: record["environment"]["packages"].pop("torch"), "torch: "),
        ("run", lambda record: record.update(method_source="0" * 64), "source of "),
        ("run", lambda record: record.update(engine="0" * 64), "engine's source for run: "),
        ("predictions", lambda record: record.update(engine="0" * 64), "engine's source for predictions: "),
        ("scores", lambda record: record.update(engine="0" * 64), "engine's source for scores: "),
    ],
    ids=["library", "absent library", "source", "engine", "engine of predictions", "engine of scores"],
)
def test_records_made_otherwise_are_not_mixed_unless_allowed(two_seeds, tmp_path, layer, change, named):
    shutil.copytree(two_seeds, tmp_path / "copy")
    protocol, results = tmp_path / "copy" / "small.yaml", tmp_path / "copy" / "results"
    paths = sorted((results / "runs").glob("[0-9a-f]*/run.json"))
    path = next(path for path in paths if '"label": "multimix"' in path.read_text())
    run = path.parent.name
    if layer != "run":
        paths = sorted((results / layer).glob(f"[0-9a-f]*/{layer}.json"))
        path = next(path for path in paths if json.loads(path.read_text())["run"] == run)
    edit_record(path, change)
    for command in (["report", results], ["compare", "unet", "multimix", "--results", results]):
        refused = harness.call(*command)
        assert refused.exit_code == 2, refused.stdout
        assert f"records of one table differ in {named}" in refused.stderr
        assert "--allow-mixed" in refused.stderr
        assert refused.stderr.count("\n") == 1
    stopped = harness.finish(protocol)
    assert stopped.returncode == 2
    assert named in stopped.stderr

    allowed = harness.call("report", results, "--allow-mixed")
    assert allowed.exit_code == 0, allowed.stderr
    for text in (allowed.stdout, (results / "report" / "tables" / "main.md").read_text()):
        assert "Mixed records differ in" in " ".join(text.split())
    assert "Mixed records differ in" in (results / "report" / "index.html").read_text()

    done = harness.finish(protocol, "--force", layer, "--only", f"id={run}")
    assert done.returncode == 0, done.stderr
    assert harness.call("report", results).exit_code == 0


def test_another_split_or_data_is_another_run(finished, tmp_path):
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
    assert (summary["trained"], summary["predicted"], summary["cached"]) == (1, 3, 0)
