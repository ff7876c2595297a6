import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.errors import ProtocolError
from mmbench.protocol import loading
from mmbench.protocol.json_schema import json_schema
from mmbench.protocol.loading import (
    load_protocol,
    parse_protocol,
    protocol_yaml,
    resolve_protocol_path,
    shipped_paths,
    shipped_protocols,
)
from mmbench.protocol.yaml_document import parse_document, read_description


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> dict[str, Path]:
    """Two protocols standing for the shipped ones."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("smoke", "paper"):
        text = f"name: {name}\ndescription: >\n  The {name}\n  one.\nnot_a_key: 1\n"
        (folder / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(
        loading, "shipped_paths", lambda: {path.stem: path for path in sorted(folder.iterdir())}
    )
    monkeypatch.chdir(tmp_path)
    return loading.shipped_paths()


def test_a_bare_name_is_a_shipped_protocol(shipped):
    assert resolve_protocol_path("smoke") == shipped["smoke"]


def test_an_existing_file_wins_over_a_shipped_name(shipped, tmp_path):
    (tmp_path / "smoke").write_text("name: mine")
    assert resolve_protocol_path("smoke") == Path("smoke")


def test_a_folder_of_a_shipped_name_does_not(shipped, tmp_path):
    (tmp_path / "smoke").mkdir()
    assert resolve_protocol_path("smoke") == shipped["smoke"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("smok", "unknown protocol 'smok'; did you mean 'smoke'?"),
        ("zzz", "unknown protocol 'zzz'; valid: paper, smoke"),
        ("smoke.yaml", "smoke.yaml: no such file; 'smoke' alone names the shipped protocol"),
        ("a/b", "a/b: no such file"),
    ],
)
def test_an_unknown_protocol_is_told_with_the_nearest(shipped, given, expected):
    with pytest.raises(ProtocolError) as error:
        resolve_protocol_path(given)
    assert str(error.value) == expected


def test_shipped_protocols_are_listed_without_validation(shipped):
    assert shipped_protocols() == {"paper": "The paper one.", "smoke": "The smoke one."}
    with pytest.raises(ProtocolError, match=r"smoke.yaml:5: not_a_key: unknown key"):
        load_protocol("smoke")


@pytest.mark.parametrize("name", shipped_paths())
def test_every_shipped_protocol_is_valid_and_described(name):
    protocol = load_protocol(name)
    assert protocol.name == name
    assert protocol.description.strip()
    assert shipped_protocols()[name] == " ".join(protocol.description.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {description: no}\nb: [description, x]\ndescription: yes it is\n", "yes it is"),
        ("a: description\nb: x", ""),
        ("a: &x {b: 1}\nc: *x\ndescription: d", "d"),
        ("description: [a]\n", ""),
        ("description: early\nbroken: [", "early"),
        ("broken: [\ndescription: late", ""),
    ],
)
def test_a_description_is_found_at_the_top_level(tmp_path, text, expected):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert read_description(path) == expected


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2e+4", -20000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("010", 10),
        ("1_000", 1000),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("null", None),
        ("1e", "1e"),
        ("e3", "e3"),
        ("'1e-3'", "1e-3"),
    ],
)
def test_scalars_mean_what_they_say(scalar, value):
    found = parse_document(f"a: {scalar}", "f").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys_and_aliases_work():
    document = parse_document("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: {c: 4, <<: [*x]}", "f")
    assert document.value == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 4}}
    assert document.key_lines["d", "c"] == 2


@pytest.mark.parametrize("complete", [False, True])
def test_protocols_round_trip_through_yaml(matrix, complete):
    hostile = {
        "description": "1e-3",
        "reference": "MultiMix",
        "trivial_baselines": ["yes", "1_0", "2020-01-01", "~", "é: #"],
    }
    protocol = parse_protocol(matrix.text).model_copy(update=hostile)
    assert parse_protocol(protocol_yaml(protocol, complete=complete)) == protocol


def test_old_names_of_datasets_become_the_new_ones():
    old = (
        "name: x\nsources: {classification: chex}\n"
        "targets: {classification: [nihx, {dataset: rsna, name: mcu}]}\n"
        "budgets: {pairs: [{classification: 4}]}\nmethods: [enc]\n"
        "acknowledged_leaks: [['chex:train', 'chex:test'], ['nihx:all', 'mcu:all']]\n"
    )
    new = old.replace("chex", "kermany").replace("nihx", "chestxray14")
    protocol = parse_protocol(old)
    assert protocol == parse_protocol(new)
    # The protocol's own name of a domain is no alias.
    assert protocol.acknowledged_leaks[1] == ["chestxray14:all", "mcu:all"]


def test_plain_objects_make_the_same_protocol_as_text(matrix):
    protocol = parse_protocol(matrix.text)
    assert type(protocol).model_validate(protocol.model_dump()) == protocol
    assert type(protocol).model_validate_json(protocol.model_dump_json()) == protocol


def test_the_json_schema_is_the_recorded_one(matrix):
    path = matrix.golden / "protocol.schema.json"
    found = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("MMBENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    # As values: versions of pydantic write 0 or 0.0.
    assert json.loads(found) == json.loads(path.read_text())


def test_the_json_schema_accepts_what_the_loader_accepts(matrix):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    texts = [matrix.text, *(path.read_text() for path in shipped_paths().values())]
    texts.append(
        matrix.text + "backbone: smp:unet/resnet18\nselection: source_val\nacknowledged_leaks: [[a, b]]\n"
    )
    for text in texts:
        validator.validate(parse_document(text, "f").value)
        validator.validate(parse_protocol(text).model_dump(mode="json"))
    for old, new in (("steps: 1e3", "stepz: 1"), ("[unet,", "[5,"), ("values: [1, 0.5]", "values: []")):
        assert not validator.is_valid(parse_document(matrix.text.replace(old, new), "f").value)
    assert not validator.is_valid(parse_document(matrix.text + "backbone: smp:unet\n", "f").value)


def test_every_field_is_documented_or_has_a_telling_title():
    models = json_schema()["$defs"]
    assert all(model.get("description") for name, model in models.items() if model["type"] == "object")


def test_the_room_imports_without_torch_and_listing_without_pydantic():
    code = (
        "import sys\n"
        "from mmbench.protocol.loading import shipped_protocols; shipped_protocols()\n"
        "assert not {'torch', 'pandas', 'pydantic'} & set(sys.modules), sorted(sys.modules)\n"
        "import mmbench.planning.cost, mmbench.protocol.json_schema as s; s.json_schema()\n"
        "assert not {'torch', 'pandas'} & set(sys.modules), sorted(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
