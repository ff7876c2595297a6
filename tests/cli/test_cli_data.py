import json
import re

import numpy as np
import pytest
from PIL import Image

from mmbench.data.phantom import DOMAINS


def test_a_phantom_is_counted_and_drawn(mmbench, workplace, cache):
    result = mmbench(
        "data", "show", "phantom:county", "--cases", 24, "--image-size", 32, "--dial", "noise=0.5", "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["parts"]["all"]["cases"] == found["parts"]["all"]["masks"] == 24
    assert sum(found["parts"][part]["cases"] for part in ("train", "validation", "test")) == 24
    assert Image.open(found["contact_sheet"]).width > 100

    plain = mmbench("data", "show", "phantom:county", "--cases", 24, "--image-size", 32, "--sheet", "a/b.png")
    assert "contact sheet  a/b.png" in plain.stdout
    assert (workplace / "a" / "b.png").is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "phantom:conty"], "did you mean 'phantom:county'?"),
        (["show", "phantom:county", "--dial", "nois=1"], "did you mean 'noise'?"),
        (["show", "phantom:county", "--dial", "noise"], "dial: 'noise' is not NAME=VALUE"),
        (["show", "kermany", "--data-root", "nowhere"], "nowhere"),
        (["show", "manifest", "--path", "none.csv"], "none.csv"),
        (["show", "phantom:county", "--cases", "24", "--image-size", "32", "--sheet", "x.jpg"], ".png"),
        (["import", "kermany", "nowhere"], "nowhere: there is no such file or folder"),
        (["import", "phantom:county", "."], "there is nothing to import"),
        (["import", "montgomery", ".", "--image-size", "4"], "between 16 and 2048"),
    ],
)
def test_mistakes_are_told_in_one_line(mmbench, cache, args, message):
    result = mmbench("data", *args)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


PROTOCOL = """
name: own
sources: {classification: {dataset: manifest, path: cases.csv, name: north}}
targets: {classification: [{dataset: manifest, path: cases.csv, name: south}]}
budgets: {pairs: [{classification: 4}]}
methods: [mine]
plugins: [mine.py]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
"""
PLUGIN = """
from mmbench.baselines.enc import Enc
from mmbench.plugins import register_method

@register_method("mine")
class Mine(Enc):
    'A method beside the protocol.'
"""


@pytest.fixture
def project(workplace):
    """A protocol in a folder of its own, with the two domains of its manifest and its plugin beside it."""
    folder, rng = workplace / "project", np.random.default_rng(3)
    folder.mkdir()
    lines = ["image,label,domain"]
    for domain in ("north", "south"):
        for number in range(24):
            name = f"{domain}{number}.png"
            Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / name)
            lines.append(f"{name},{number % 2},{domain}")
    (folder / "cases.csv").write_text("\n".join(lines))
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "own.yaml").write_text(PROTOCOL)
    return folder


def test_two_domains_of_a_manifest_and_a_plugin_are_found_beside_the_protocol(mmbench, project, cache):
    done = mmbench("validate", "project/own.yaml", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["runs"] == 1 + 3  # the method, and the trivial baselines that classify
    assert {one["domain"] for one in found["detectable"]} == {"north", "south"}
    counted = mmbench("validate", "project/own.yaml", "--no-data", "--json")
    assert json.loads(counted.stdout)["rows"]["mine"] == 1
    # Under the data root as before, where nothing lies beside the protocol.
    elsewhere = project.parent / "elsewhere.yaml"
    elsewhere.write_text(PROTOCOL.replace("plugins: [mine.py]", "plugins: [project/mine.py]"))
    assert mmbench("validate", "elsewhere.yaml", "--data-root", "project").exit_code == 0
    lost = mmbench("validate", "elsewhere.yaml")
    assert lost.exit_code == 2
    assert "cases.csv: there is no such manifest" in lost.stderr


def test_leaks_and_enlarged_images_are_told_once(mmbench, project, cache):
    for number in range(3):
        copy = (project / f"north{number}.png").read_bytes()
        (project / f"south{number}.png").write_bytes(copy)
    text = PROTOCOL.replace("image_size: 32", "image_size: 64")
    (project / "own.yaml").write_text(
        text + "acknowledged_leaks: [[north:train, south:all], [north:validation, south:all], "
        "[north:test, south:all]]\ntraining: {steps: 1}\ntrivial_baselines: []\n"
    )
    done = mmbench("run", "project/own.yaml", "--jobs", "1")
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    leaks = re.findall(r"leak \(acknowledged\): north:(\w+) and south:all share (\d) pairs? of", text)
    assert leaks
    assert len({part for part, _ in leaks}) == len(leaks)
    assert "24 of 24 images are smaller than 64 x 64 and are enlarged" in text
    assert "leak gate passed" not in text


def test_a_domain_of_a_manifest_is_shown_by_its_name(mmbench, project, cache):
    which = ("data", "show", "manifest", "--path", "project/cases.csv", "--image-size", 32)
    shown = mmbench(*which, "--name", "south", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["parts"]["all"]["cases"] == 24
    asked = mmbench(*which)
    assert asked.exit_code == 2
    assert "say which by 'name'" in asked.stderr


@pytest.mark.realdata
def test_a_real_dataset_is_imported_and_then_known(mmbench, real_data, fresh_cache):
    result = mmbench("data", "import", "montgomery", real_data / "montgomery", "--image-size", 32, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["counts"]["cases"] == 138
    entry = json.loads(mmbench("list", "datasets", "montgomery", "--json").stdout)[0]
    assert entry["imported"] is True
    assert entry["data_digest"] == report["data_digest"]
    assert "imported" in mmbench("list", "datasets").stdout
    shown = json.loads(mmbench("data", "show", "montgomery", "--image-size", 32, "--json").stdout)
    assert shown["data_digest"] == report["data_digest"]


def test_a_phantom_domain_shows_its_dials(mmbench):
    (entry,) = json.loads(mmbench("list", "datasets", "phantom:county", "--json").stdout)
    dials = {dial["name"]: dial for dial in entry["dials"]}
    assert dials["contrast"]["value"] == DOMAINS["county"].dials.contrast
    assert (dials["noise"]["minimum"], dials["noise"]["maximum"]) == (0, 0.5)
    shown = mmbench("list", "datasets", "phantom:county").stdout
    assert "Steepness of the display window." in shown
