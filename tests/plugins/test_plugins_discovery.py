"""Finding, checking and describing method plugins."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from mmbench.errors import PluginError, ProtocolError, suggestion
from mmbench.plugins import discovery
from mmbench.plugins.discovery import discover
from mmbench.protocol.schema import MethodEntry

PLUGIN = """
from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, NetworkMethod, register_method

@register_method({name!r}, reference="Doe 2026")
class Mine(NetworkMethod):
    \"\"\"A plugin of the tests.\"\"\"

    tasks = {{CLASSIFICATION}}
    streams = {{LABELED_CLASSIFICATION}}

    class Hyperparameters(NetworkMethod.Hyperparameters):
        margin: float = 1.5
        mode: str = "soft"
"""


def write(folder, name="mine", text=PLUGIN, file="mine.py"):
    path = folder / file
    path.write_text(text.format(name=name) if "{name" in text else text)
    return path


def test_built_in_methods():
    assert set(discover()) == {
        *("unet", "enc", "encssl", "umtl", "umtls", "umtl_ssl", "umtl_ssl_s", "multimix"),
        *("majority", "positive", "prevalence", "mean_mask", "pcgrad", "mean_teacher"),
        *("cps", "unimatch", "self_training", "tent", "minent", "foundation", "strong_unet"),
        *("fixmatch", "flexmatch", "freematch", "softmatch", "mixmatch", "ua_mt", "bcp"),
        *("uncertainty", "famo", "mtpsl", "gin_ipa", "mixstyle", "swad", "fda", "bn_adapt", "sar"),
    }


def test_discovery_and_listing_import_no_torch():
    code = (
        "import sys; from mmbench.plugins.discovery import discover; discover().listing(); "
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_and_a_folder_of_plugins(tmp_path):
    write(tmp_path)
    write(tmp_path, "other", file="other.py")
    write(tmp_path, text="raise RuntimeError", file="_helper.py")
    assert "mine" in discover([tmp_path / "mine.py"])
    assert {"mine", "other"} <= set(discover([tmp_path]))


def test_an_installed_package_is_found_through_its_entry_point(tmp_path, monkeypatch):
    write(tmp_path, "from_package", file="acme_methods.py")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("from_package", "acme_methods", discovery.ENTRY_POINT_GROUPS[0])
    monkeypatch.setattr(discovery, "entry_points", lambda group: [point])
    assert "from_package" in discover()


def test_a_broken_installed_package_stops_only_who_names_its_methods(tmp_path, monkeypatch):
    (tmp_path / "broken_methods.py").write_text("import sys\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("from_package", "broken_methods", discovery.ENTRY_POINT_GROUPS[0])
    monkeypatch.setattr(discovery, "entry_points", lambda group: [point])
    registry = discover()
    assert "multimix" in registry
    with pytest.raises(ProtocolError) as caught:
        registry.get("from_package")
    assert str(caught.value) == (
        "unknown method 'from_package'; " + suggestion("from_package", registry) + "; your own needs "
        "--plugin FILE; installed plugin 'from_package' (broken_methods): cannot be loaded: "
        "ZeroDivisionError: division by zero (line 2)"
    )


def test_a_plugin_imports_what_lies_beside_it_and_prints_where_nothing_is_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, value in ((one, 1), (other, 2)):
        folder.mkdir()
        (folder / "_beside_a_plugin.py").write_text(f"VALUE = {value}\n")
        text = "print('loading')\nfrom _beside_a_plugin import VALUE\n" + PLUGIN.format(name=f"m{value}")
        write(folder, text=text.replace("1.5", "VALUE"))
    (found,) = [row for row in discover([one / "mine.py"]).listing() if row["name"] == "m1"]
    assert found["hyperparameters"]["margin"] == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "loading\n")
    # Python would give the second plugin the first one's helper.
    with pytest.raises(PluginError, match=r"other/_beside_a_plugin.py: .*/one/.* has the same name"):
        discover([other / "mine.py"])


def test_listing_describes_a_method(tmp_path):
    (found,) = [row for row in discover([write(tmp_path)]).listing() if row["name"] == "mine"]
    assert found["title"] == "A plugin of the tests."
    assert found["reference"] == "Doe 2026"
    assert found["hyperparameters"] == {"margin": 1.5, "mode": "soft"}
    assert found["origin"].endswith("mine.py")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("def broken(:", "cannot be loaded: SyntaxError: .*line 1"),
        ("import no_such_module_here", "cannot be loaded: ModuleNotFoundError: .*line 1"),
        ("\n\n1 / 0", r"cannot be loaded: ZeroDivisionError: division by zero \(line 3\)"),
        ("x = 1", "registers nothing; decorate a class"),
        (
            "import sys\n\nsys.exit(0)",
            r"cannot be loaded: it exits when it is imported \(line 3\); put that under if __name__ ==",
        ),
        ("import argparse\nargparse.ArgumentParser().parse_args(['x'])", "cannot be loaded: it exits .*line"),
        (
            "from mmbench.methods import *\n@register_method('x')\nclass X(Method): pass",
            "method 'x': tasks must be",
        ),
        (
            "from mmbench.methods import *\n@register_method('x')\nclass X(Method):\n"
            "    tasks = {CLASSIFICATION}\n    streams = {LABELED_SEGMENTATION}",
            "method 'x': consumes labeled_segmentation but does not declare the task segmentation",
        ),
        *(
            (
                "from mmbench.methods import *\n@register_method('x')\nclass X(Method):\n"
                f"    tasks = {{CLASSIFICATION}}\n    {wrong}",
                f"method 'x': {cause}",
            )
            for wrong, cause in (
                ("tasks = CLASSIFICATION", "tasks must be a set"),
                ("tasks = 5", "tasks must be a set"),
                ("streams = None", "streams must be a set"),
                ("Hyperparameters = {'weight': 1}", "Hyperparameters must be a class; derive it from"),
                ("Hyperparameters = int", "Hyperparameters must be a class; derive it from"),
            )
        ),
    ],
)
def test_a_broken_plugin_is_named(tmp_path, text, cause):
    path = write(tmp_path, text=text, file="broken.py")
    with pytest.raises(PluginError, match=f"^{path}: {cause}") as caught:
        discover([path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("register_method('x')(lambda batch: {})", 2, "given a function, not a class"),
        ("@register_method('x')\ndef method(batch): ...", 2, "given a function, not a class"),
        ("class X(Method): ...\nregister_method('x')(X())", 3, "given a X, not a class"),
        ("@register_method\nclass X(Method): ...", 2, "needs a name; write @register_method"),
        ("@register_method('x')\nclass X: ...", 2, "given X, which has no tasks; derive the class from"),
        ("register_method('x')(int)", 2, "given int, which has no tasks; derive the class from"),
        (
            "X = type('X', (), {k: v for k, v in vars(Method).items() if k in Method.__annotations__})\n"
            "register_method('x')(X)",
            3,
            "given X, which has no build; derive the class from mmbench.methods.Method",
        ),
    ],
)
def test_only_a_class_with_the_contract_can_be_registered(tmp_path, monkeypatch, text, line, message):
    path = write(tmp_path, text=f"from mmbench.methods import *\n{text}", file="registers_no_class.py")
    with pytest.raises(PluginError, match=f"^{path}:{line}: register_method.*{message}") as caught:
        discover([path])
    assert "\n" not in str(caught.value)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("x", "registers_no_class", discovery.ENTRY_POINT_GROUPS[0])
    monkeypatch.setattr(discovery, "entry_points", lambda group: [point])
    assert re.match(f"^{path}:{line}: register_method.*{message}", discover().broken["x"])


def test_a_name_defined_twice_names_both_files(tmp_path):
    with pytest.raises(
        PluginError, match=r"mine\.py: method 'multimix' is already defined in .*multimix\.py"
    ):
        discover([write(tmp_path, "multimix")])
    first = write(tmp_path)
    second = write(tmp_path, file="again.py")
    with pytest.raises(PluginError, match=f"^{second}: method 'mine' is already defined in {first}"):
        discover([first, second])


def test_missing_plugin_files(tmp_path):
    with pytest.raises(PluginError, match="no such plugin file"):
        discover([tmp_path / "absent.py"])
    with pytest.raises(PluginError, match="holds no plugin file"):
        discover([tmp_path])
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(PluginError, match=r"a plugin is a \.py file"):
        discover([tmp_path / "notes.txt"])


def test_hyperparameters_are_resolved_with_their_defaults(tmp_path):
    registry = discover([write(tmp_path)])
    summary = registry.resolve(MethodEntry(method="mine", hyperparameters={"margin": 2}))
    assert summary.hyperparameters == {"margin": 2.0, "mode": "soft"}
    assert len(summary.source_digest) == 64


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"method": "multimx"},
            "unknown method 'multimx'; did you mean 'multimix'?; your own needs --plugin FILE",
        ),
        (
            {"method": "multimix", "hyperparameters": {"brigde": "none"}},
            "hyperparameters.brigde: multimix has no such hyper-parameter; did you mean 'bridge'?",
        ),
        (
            {"method": "multimix", "hyperparameters": {"bridge": "all"}},
            "hyperparameters.bridge: Input should be 'both', 'image', 'saliency', 'shuffled' or "
            "'none', not 'all'",
        ),
        (
            {"method": "multimix", "hyperparameters": {"dice_weight": "heavy"}},
            "hyperparameters.dice_weight: Input should be a valid number, unable to parse string "
            "as a number, not 'heavy'",
        ),
    ],
)
def test_wrong_rows_are_one_line_with_key_value_and_nearest_name(entry, message):
    with pytest.raises(ProtocolError) as caught:
        discover().resolve(MethodEntry(**entry))
    assert str(caught.value) == message


def test_a_methods_digest_covers_the_classes_it_derives_from(tmp_path):
    base, derived = tmp_path / "base_method.py", tmp_path / "derived.py"
    write(tmp_path, "base", file="base_method.py")
    derived.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import base_method\n"
        "sys.path.pop(0)\n"
        "from mmbench.methods import register_method\n"
        "@register_method('derived')\n"
        "class Derived(base_method.Mine):\n"
        "    pass\n"
    )
    before = discover([derived]).get("derived").source_digest
    assert before == discover([derived]).get("derived").source_digest
    base.write_text(base.read_text() + "# another line\n")
    assert before != discover([derived]).get("derived").source_digest
