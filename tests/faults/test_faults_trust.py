"""Results, protocols and checkpoints of strangers: shown or refused, never executed."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmbench.files import digest_file
from mmbench.store.records import content_digest
from tests.faults import harness

pytestmark = pytest.mark.slow


class Evil:
    """Makes a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def mmbench(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "mmbench", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def sealed_again(folder):
    """Give a changed record the checksums and the digest that its author would have given it."""
    (path,) = folder.glob("*.json")
    content = json.loads(path.read_text())
    names = [file.name for file in folder.iterdir() if file != path]
    content["checksums"] = {name: digest_file(folder / name) for name in names}
    content["digest"] = content_digest(content)
    path.write_text(json.dumps(content))


def segmentation_record(protocol, layer="runs"):
    """Return the folder of a record of unet."""
    results = protocol.parent / "results"
    runs = sorted((results / "runs").glob("[0-9a-f]*/run.json"))
    unet = next(path.parent for path in runs if json.loads(path.read_text())["run"]["method"] == "unet")
    if layer == "runs":
        return unet
    records = sorted((results / layer).glob(f"[0-9a-f]*/{layer}.json"))
    return next(path.parent for path in records if json.loads(path.read_text())["run"] == unet.name)


def test_pickled_arrays_among_the_masks_are_refused(finished, tmp_path):
    evil = tmp_path / "evil"
    folder = segmentation_record(finished, "predictions")
    np.savez(folder / "masks.npz", **{"mask 0.5": np.array([Evil(evil)], dtype=object)}, allow_pickle=True)
    sealed_again(folder)
    done = mmbench("report", finished.parent / "results", "--sensitivity", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "masks.npz: does not hold arrays" in done.stderr
    assert not evil.exists()


def test_a_pickle_in_place_of_the_scores_is_refused(finished, tmp_path):
    evil = tmp_path / "evil"
    folder = segmentation_record(finished, "scores")
    (folder / "cases.parquet").write_bytes(pickle.dumps(Evil(evil)))
    sealed_again(folder)
    done = mmbench("report", finished.parent / "results", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "cases.parquet" in done.stderr
    assert not evil.exists()


def test_pickled_weights_are_refused_and_made_again(finished, tmp_path, reference):
    evil = tmp_path / "evil"
    folder = segmentation_record(finished)
    (folder / "network.safetensors").write_bytes(pickle.dumps(Evil(evil)))
    sealed_again(folder)
    done = harness.finish(finished, "--force", "predictions", "--only", "method=unet")
    assert done.returncode == 0, done.stderr
    assert not evil.exists()
    harness.assert_same(harness.outcome(finished), reference)


def test_a_strangers_checkpoint_is_set_aside(tmp_path, reference):
    import io

    import torch

    from mmbench.files import write_sealed

    protocol = harness.write_protocol(tmp_path)
    buffer = io.BytesIO()
    torch.save({"origin": "x", "state": Evil(tmp_path / "evil")}, buffer)
    for id in (id for id, record in reference.items() if "losses" in record):
        write_sealed(tmp_path / "results" / "checkpoints" / id, buffer.getvalue())
    done = harness.finish(protocol)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "evil").exists()
    harness.assert_same(harness.outcome(protocol), reference)


def test_methods_named_in_results_are_never_loaded(finished, tmp_path):
    """Neither a method's name nor a Python file that lies about is an invitation."""
    results = finished.parent / "results"
    marker = tmp_path / "evil"
    for place in (results, tmp_path, results / "runs", segmentation_record(finished)):
        for name in ("evil.py", "sitecustomize.py", "unet.py", "conftest.py", "mmbench.py", "numpy.py"):
            (place / name).write_text(f"open({str(marker)!r}, 'w')\n")
    (segmentation_record(finished) / "unet.safetensors").write_bytes(pickle.dumps(Evil(marker)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    installed = Path(sys.executable).parent / "mmbench"
    pair = ["compare", "unet", "multimix", "--results", results]
    for command in (["report", results], ["status", results], ["doctor", results], pair):
        done = subprocess.run(
            [installed, *map(str, command)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
    assert not marker.exists()


HOSTILE = """\
name: hostile
description: "<script>alert(1)</script>"
sources: {{classification: {{dataset: manifest, path: {path}, name: ours}}}}
budgets: {{pairs: [{{classification: 4}}]}}
methods: [{{method: enc, name: "{label}"}}]
"""


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "file:///etc/passwd", "|touch evil"])
def test_paths_of_a_strangers_protocol_are_read_as_tables_only(tmp_path, path):
    (tmp_path / "hostile.yaml").write_text(HOSTILE.format(path=json.dumps(path), label="enc"))
    done = mmbench("run", "hostile.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") <= 2
    assert sorted(os.listdir(tmp_path)) == ["hostile.yaml"]
