"""A package of somebody else, installed into an environment of its own, with a plugin of each kind."""

import json
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

PACKAGE = Path(__file__).parents[1] / "external_package"
PROTOCOL = """
name: external
sources: {classification: acme, segmentation: acme}
targets: {segmentation: {dataset: phantom:county, cases: 12}}
budgets: {pairs: [{classification: 8, segmentation: 8}]}
seeds: 2
methods: [focal, umtl]
reference: umtl
trivial_baselines: [majority, mean_mask]
backbone: small_fcn
image_size: 32
training: {steps: 4, batch_size: 4, validations: 1}
statistics: {metrics: [dice, area_similarity, auroc, log_loss, weighted_kappa]}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An environment with mmbench, and the package installed by pip; a data root and a protocol beside it."""
    home = tmp_path_factory.mktemp("external")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
    python = home / "env" / "bin" / "python"
    packages = sysconfig.get_path("purelib", vars={"base": str(home / "env")})
    # What is installed here, mmbench and torch among it, is there too.
    lines = [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
    (Path(packages) / "shared.pth").write_text("\n".join(lines))
    source = shutil.copytree(PACKAGE, home / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, source], check=True)
    (home / "protocol.yaml").write_text(PROTOCOL)
    _scans(home / "data" / "acme")
    return home


def _scans(folder):
    random = np.random.default_rng(0)
    for name in ("scans", "lungs"):
        (folder / name).mkdir(parents=True)
    for patient in range(40):
        name = f"{patient:02}-{'pneumonia' if patient % 2 else 'normal'}.png"
        image = random.integers(0, 60, (32, 32), dtype=np.uint8)
        mask = np.zeros((32, 32), dtype=np.uint8)
        left = random.integers(2, 14)
        mask[6:26, left : left + 12] = 255
        Image.fromarray(image + mask // 2).save(folder / "scans" / name)
        Image.fromarray(mask).save(folder / "lungs" / name)


def run(home, *arguments, code=0):
    command = [home / "env" / "bin" / "python", "-m", "mmbench", *arguments]
    done = subprocess.run(
        command,
        cwd=home,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "MMBENCH_CACHE": str(home / "cache")},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("methods", "focal"),
        ("metrics", "area_similarity"),
        ("metrics", "log_loss"),
        ("metrics", "weighted_kappa"),
        ("datasets", "acme"),
        ("backbones", "small_fcn"),
    ],
)
def test_each_kind_is_listed_there(home, kind, name):
    listed = json.loads(run(home, "list", kind, "--json"))
    assert name in [entry["name"] for entry in listed]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("focal", "method"),
        ("area_similarity", "metric"),
        ("log_loss", "metric"),
        ("weighted_kappa", "metric"),
        ("small_fcn", "backbone"),
    ],
)
def test_each_keeps_its_contract(home, name, kind):
    assert run(home, "check", name).splitlines()[-1] == f"{name} ({kind}): keeps the contract"


def test_the_dataset_keeps_its_contract_where_it_lies(home):
    found = run(home, "check", "acme", "--data-root", "data")
    assert found == "acme (dataset): keeps the contract\n"
    (home / "elsewhere").mkdir()
    assert "its files are not under" in run(home, "check", "acme", "--data-root", "elsewhere", code=1)


def test_they_run_together_and_appear_in_a_report_made_where_they_are_not(home):
    first = run(home, "run", "protocol.yaml", "--data-root", "data", "--jobs", "1", "--results", "found")
    assert "focal" in first
    again = run(home, "run", "protocol.yaml", "--data-root", "data", "--jobs", "1", "--results", "found")
    assert "0 trained, 0 predicted, 0 scored" in again
    from mmbench.protocol import metrics
    from mmbench.store.frames import load_scores

    scores = load_scores(home / "found")
    own = scores[(scores["row"] == "focal") & (scores["domain"] == "acme")]
    assert own["area_similarity"].between(0, 1).all()
    # Without the package: tables come from what was stored.
    shown = subprocess.run(
        [sys.executable, "-m", "mmbench", "report", str(home / "found"), "--output", str(home / "report")],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    page = (home / "report" / "index.html").read_text()
    assert "volumetric similarity" in page
    assert "logarithmic loss" in page
    assert "quadratically weighted kappa" in page
    estimates = next((home / "report").rglob("estimates.csv"))
    found = pd.read_csv(estimates)
    wanted = found[
        (found["row"] == "focal") & (found["metric"] == "area_similarity") & (found["domain"] == "acme")
    ]
    assert wanted["estimate"].iloc[0] == pytest.approx(own["area_similarity"].mean(), abs=1e-6)
    assert wanted["low"].iloc[0] < wanted["estimate"].iloc[0] < wanted["high"].iloc[0]
    kappa = found[(found["row"] == "umtl") & (found["metric"] == "weighted_kappa")]["estimate"].iloc[0]
    classified = scores[(scores["row"] == "umtl") & scores["label"].notna()]
    every = [
        cohen_kappa_score(run["label"], run["probability"] >= 0.5, weights="quadratic")
        for _, run in classified.groupby("seed")
    ]
    assert kappa == pytest.approx(np.mean(every), abs=1e-6)
    assert "area_similarity" not in metrics.METRICS, "this process has not read that folder's plan"
