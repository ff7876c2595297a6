import json

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
