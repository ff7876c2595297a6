import json

import pytest
import yaml


@pytest.mark.parametrize(
    "args",
    [
        ["list", "methods"],
        ["list", "methods", "multimix"],
        ["list", "datasets"],
        ["list", "protocols"],
        ["list", "metrics"],
        ["list", "datasets", "kermany"],
        ["protocol", "show", "quickstart"],
        ["validate", "quickstart", "--no-data"],
    ],
)
def test_every_listing_has_a_table_and_json(mmbench, args):
    plain, listed = mmbench(*args), mmbench(*args, "--json")
    assert plain.exit_code == listed.exit_code == 0
    assert plain.stdout.strip()
    assert json.loads(listed.stdout)
    assert plain.stderr == listed.stderr == ""


def test_methods_are_listed_with_what_they_need(mmbench):
    found = {entry["name"]: entry for entry in json.loads(mmbench("list", "methods", "--json").stdout)}
    assert found["unet"]["tasks"] == ["segmentation"]
    assert found["majority"]["trivial"] is True
    assert len(found["multimix"]["streams"]) == 4
    assert "multimix" in mmbench("list", "methods").stdout


def test_one_method_is_shown_with_its_hyperparameters(mmbench):
    (entry,) = json.loads(mmbench("list", "methods", "multimix", "--json").stdout)
    output = mmbench("list", "methods", "multimix").stdout
    assert all(name in output for name in entry["hyperparameters"])
    result = mmbench("list", "methods", "multimx")
    assert result.exit_code == 2
    assert "did you mean 'multimix'?" in result.stderr


def test_a_plugin_is_listed_beside_the_built_in_methods(mmbench, workplace):
    (workplace / "mine.py").write_text(
        "from mmbench.methods.base import CLASSIFICATION, Method\n"
        "from mmbench.plugins import register_method\n"
        "@register_method('mine')\n"
        "class Mine(Method):\n"
        "    '''My own.'''\n"
        "    tasks = {CLASSIFICATION}\n"
    )
    names = [
        e["name"] for e in json.loads(mmbench("list", "methods", "--plugin", "mine.py", "--json").stdout)
    ]
    assert {"mine", "unet"} <= set(names)
    result = mmbench("list", "methods", "--plugin", "nothing.py")
    assert result.exit_code == 2
    assert result.stderr == "error: nothing.py: no such plugin file\n"


def test_datasets_say_where_to_get_them(mmbench):
    found = {entry["name"]: entry for entry in json.loads(mmbench("list", "datasets", "--json").stdout)}
    assert {"kermany", "jsrt", "montgomery", "chestxray14", "shenzhen", "phantom:adult_pa"} <= set(found)
    assert found["kermany"]["where"]
    assert found["kermany"]["imported"] is False
    assert "terms" in mmbench("list", "datasets", "kermany").stdout
    assert "did you mean 'kermany'?" in mmbench("list", "datasets", "kermny").stderr


def test_an_alias_names_the_same_dataset(mmbench):
    assert mmbench("list", "datasets", "chex").stdout == mmbench("list", "datasets", "kermany").stdout


@pytest.mark.parametrize("args", [[], ["kermany"], ["--json"]])
def test_the_old_listing_of_datasets_names_the_new_one(mmbench, args):
    result = mmbench("data", "list", *args)
    assert result.exit_code == 2
    assert result.stderr == ("error: data list: the datasets are listed by 'mmbench list datasets [NAME]'\n")


def test_the_protocol_shown_is_one_that_runs(mmbench, workplace):
    for option in ([], ["--complete"]):
        text = mmbench("protocol", "show", "quickstart", *option).stdout
        (workplace / "mine.yaml").write_text(text)
        assert mmbench("validate", "mine.yaml", "--no-data").exit_code == 0
    assert yaml.safe_load(text)["name"] == "quickstart"
    assert yaml.safe_load(text)["training"]["validations"] == 10


def test_validate_without_data_counts_runs_and_finds_mistakes(mmbench, workplace):
    base = (
        "name: mine\nsources: {classification: kermany}\nbudgets: {pairs: [{classification: 10}]}\nseeds: 3\n"
    )
    good, bad = workplace / "good.yaml", workplace / "bad.yaml"
    good.write_text(base + "methods: [enc]\ntrivial_baselines: [majority]\n")
    assert mmbench("validate", good, "--no-data").stdout == (
        "mine: valid; 6 runs: 2 rows, 3 labelled subsets, 3 seeds\n"
    )
    assert json.loads(mmbench("validate", good, "--no-data", "--json").stdout)["rows"] == {
        "enc": 3,
        "majority": 3,
    }
    for text, hint in [
        (base + "methods: [encc]\n", "did you mean 'enc'?"),
        (base.replace("kermany", "kermanyy") + "methods: [enc]\n", "did you mean 'kermany'?"),
        (base + "methods: [{method: multimix, hyperparameters: {lamda: 1}}]\n", "no such hyper-parameter"),
        (base + "method: [enc]\n", "method"),
    ]:
        bad.write_text(text)
        result = mmbench("validate", bad, "--no-data")
        assert result.exit_code == 2
        assert hint in result.stderr
        assert result.stderr.startswith(f"error: {bad}:")
        assert result.stderr.count("\n") == 1


def test_the_schema_is_json_schema(mmbench):
    schema = json.loads(mmbench("protocol", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"name", "sources", "methods"} <= set(schema["properties"])


def test_metrics_are_listed_as_valid_json_despite_infinite_ranges(mmbench):
    found = {entry["name"]: entry for entry in json.loads(mmbench("list", "metrics", "--json").stdout)}
    assert found["hd95"]["highest"] is None
    assert found["dice"]["highest"] == 1


def test_target_images_have_a_column_of_their_own(mmbench):
    lines = mmbench("list", "methods").stdout.splitlines()
    assert lines[0].split()[:5] == ["method", "learns", "labeled", "unlabeled", "targets"]
    shown = {line.split()[0]: line.split()[2:5] for line in lines if line[:1].isalpha()}
    assert shown["minent"] == ["cla+seg", "-", "cla+seg"]
    assert shown["multimix"] == ["cla+seg", "cla+seg", "-"]


def test_a_data_set_that_cannot_be_read_says_why_in_its_row(mmbench, workplace):
    from tests.data.data_layouts import make_montgomery

    make_montgomery(workplace / "montgomery")
    (workplace / "montgomery/ManualMask/leftMask/MCUCXR_0001_1.png").unlink()
    listed = mmbench("list", "datasets", "--data-root", ".")
    assert listed.exit_code == 0
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith("montgomery")]
    assert "unreadable" in row
    assert "cannot be read" in row
    assert "the other lung's mask is missing" in " ".join(listed.stdout.split())
