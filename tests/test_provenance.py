"""Digests of source code change with what they stand for, and with nothing else."""

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import mmbench
from mmbench import provenance
from mmbench.plugins.discovery import discover, plugins_in
from mmbench.provenance import Root, distribution_of, engine_digest, method_digest, source_closure

PACKAGE = Path(mmbench.__file__).parent
PLUGIN = """
{imports}
from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, NetworkMethod, register_method


@register_method("mine")
class Mine(NetworkMethod):
    tasks = {{CLASSIFICATION}}
    streams = {{LABELED_CLASSIFICATION}}

    def losses(self, batch):
        {inside}
"""


def plugin(folder, imports="", inside="import late_helper"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(PLUGIN.format(imports=imports, inside=inside))
    (folder / "late_helper.py").write_text("from tools import numbers\n")
    (folder / "tools").mkdir(exist_ok=True)
    (folder / "tools" / "__init__.py").write_text("")
    (folder / "tools" / "numbers.py").write_text("from . import deep\nfrom .deep import ten\n")
    (folder / "tools" / "deep.py").write_text("import tools.numbers\nten = 10\n")
    (folder / "tools" / "unused.py").write_text("")
    (folder / "unrelated.py").write_text("")
    return folder


def digest(folder):
    return plugins_in(folder / "mine.py").get("mine").source_digest


def closure(folder, entry="mine.py"):
    return set(source_closure([folder / entry], [Root("", folder)]))


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("late_helper.py", True),  # beside the plugin, imported in a function
        ("tools/__init__.py", True),
        ("tools/numbers.py", True),
        ("tools/deep.py", True),  # by a relative import, in a cycle
        ("tools/unused.py", False),
        ("unrelated.py", False),
        ("notes.txt", False),
    ],
)
def test_a_methods_digest_covers_the_modules_that_it_imports(tmp_path, file, counts):
    folder = plugin(tmp_path)
    before = digest(folder)
    with (folder / file).open("a") as stream:
        stream.write("# another line\n")
    assert (digest(folder) != before) == counts


def test_the_same_folder_elsewhere_has_the_same_digest(tmp_path):
    first, second = plugin(tmp_path / "a"), plugin(tmp_path / "b" / "c")
    assert digest(first) == digest(second)
    (second / "tools" / "deep.py").rename(second / "tools" / "deeper.py")
    (second / "tools" / "numbers.py").write_text("from . import deeper\nfrom .deeper import ten\n")
    assert digest(first) != digest(second)


def test_a_module_that_moves_is_another_source(tmp_path):
    """Names count, not contents alone."""
    folder = plugin(tmp_path, inside="import one, two")
    for names in (("one", "two"), ("two", "one")):
        for name, text in zip(names, ("x = 1\n", "x = 2\n"), strict=True):
            (folder / f"{name}.py").write_text(text)
        found = digest(folder)
        if names[0] == "one":
            before = found
    assert found != before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import tools.numbers", {"tools/__init__.py", "tools/numbers.py", "tools/deep.py"}),
        ("import tools", {"tools/__init__.py"}),
        ("from tools import numbers as n", {"tools/__init__.py", "tools/numbers.py", "tools/deep.py"}),
        ("from tools import absent", {"tools/__init__.py"}),
        ("from tools.unused import x", {"tools/__init__.py", "tools/unused.py"}),
        ("from unrelated import x", {"unrelated.py"}),
        ("from .unrelated import x", {"unrelated.py"}),
        ("from . import unrelated", {"unrelated.py"}),
        ("from ...... import unrelated", set()),
        ("def f():\n    if x:\n        import unrelated", {"unrelated.py"}),
        ("import importlib\nimportlib.import_module('unrelated')", {"unrelated.py"}),
        ("import os, numpy, no_such_module", set()),
        ("from tools import *", {f"tools/{name}.py" for name in ("__init__", "numbers", "deep", "unused")}),
        ("def broken(:", set()),
        ("\0", set()),
    ],
)
def test_what_a_file_imports(tmp_path, text, found):
    (plugin(tmp_path) / "entry.py").write_text(text)
    assert closure(tmp_path, "entry.py") == {"entry.py"} | found


def test_odd_files_are_survived(tmp_path):
    folder = plugin(tmp_path)
    (folder / "odd.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xff'\nimport unrelated\n")
    (folder / "bytes.py").write_bytes(b"\xff\xfe import unrelated")
    (folder / "folder.py").mkdir()
    (folder / "dangling.py").symlink_to(folder / "absent.py")
    (folder / "entry.py").write_text("import odd, bytes, folder, dangling, absent\n")
    assert closure(folder, "entry.py") == {"entry.py", "odd.py", "bytes.py", "unrelated.py"}


def test_a_package_is_covered_by_its_imports(tmp_path, monkeypatch):
    package = tmp_path / "acme_package"
    plugin(package, inside="from acme_package.tools import numbers")
    (package / "__init__.py").write_text("")
    (package / "tools" / "deep.py").write_text("from .. import unrelated\nten = 10\n")
    monkeypatch.syspath_prepend(tmp_path)

    def found():
        for name in [name for name in sys.modules if name.partition(".")[0] == "acme_package"]:
            del sys.modules[name]
        from acme_package.mine import Mine

        return method_digest(Mine)

    before = found()
    (package / "late_helper.py").write_text("# no longer imported\n")
    assert found() == before
    (package / "unrelated.py").write_text("# imported through two others\n")
    assert found() != before


def test_a_single_installed_module_covers_itself_alone(tmp_path, monkeypatch):
    folder = plugin(tmp_path)
    before = digest(folder)
    # private: which folders are shared depends on the installation
    monkeypatch.setattr(provenance, "_shared_folders", lambda: frozenset([folder.resolve()]))
    alone = digest(folder)
    assert alone != before
    (folder / "late_helper.py").write_text("# not the author's, for all that is known\n")
    assert digest(folder) == alone


def test_a_built_in_method_covers_the_baselines_that_it_extends(tmp_path):
    baselines = Path(mmbench.baselines.__path__[0])
    found = source_closure([baselines / "multimix.py"], [Root("mmbench.baselines", baselines)])
    assert {"mmbench/baselines/multimix.py", "mmbench/baselines/encssl.py"} <= set(found)
    assert "mmbench/baselines/trivial.py" not in found


@pytest.fixture
def package(tmp_path):
    copy = tmp_path / "mmbench"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def digests(package, layers):
    engine_digest.cache_clear()
    return {layer: engine_digest(layer, package) for layer in layers}


def changed(package, file, layers=tuple(provenance.ROOMS)):
    """Return the layers whose digest changes when a file is edited, and leave the file as it was."""
    before, text = digests(package, layers), (package / file).read_bytes()
    (package / file).write_bytes(text + b"# another line\n")
    after = digests(package, layers)
    (package / file).write_bytes(text)
    return {layer for layer in after if after[layer] != before[layer]}


def test_a_copied_engine_has_the_same_digests(package):
    for layer in provenance.ROOMS:
        assert engine_digest(layer, package) == engine_digest(layer)
    assert len({engine_digest(layer) for layer in provenance.ROOMS}) == 3


def test_every_file_that_trains_counts_for_runs(package):
    # No training passes through saved weights.
    aside = {"persistence.py"}
    rooms = ("networks", "methods", "training")
    files = [file.relative_to(package) for room in rooms for file in (package / room).rglob("*.py")]
    files = [file for file in files if file.name not in aside]
    assert len(files) > 20
    for file in files:
        assert changed(package, file, ["run"]) == {"run"}, file


@pytest.mark.parametrize(
    ("file", "layers"),
    [
        ("methods/terms.py", {"run", "predictions"}),
        ("networks/unet.py", {"run", "predictions"}),
        ("networks/kernels.py", {"run", "predictions"}),
        ("data/readers/kermany.py", {"run", "predictions"}),
        ("evaluation/prediction.py", {"run", "predictions"}),
        ("training/build.py", {"run"}),
        ("training/streams.py", {"run"}),
        ("randomness.py", {"run"}),
        ("evaluation/validation.py", {"run"}),
        ("evaluation/overlap.py", {"run", "scores"}),
        ("evaluation/scores.py", {"scores"}),
        ("evaluation/distances.py", {"scores"}),
        ("evaluation/similarity.py", {"scores"}),
        ("store/masks.py", {"predictions", "scores"}),
        ("execution/training.py", {"run"}),
        ("execution/sources.py", {"run", "predictions"}),
        ("execution/predicting.py", {"predictions"}),
        ("execution/scoring.py", {"scores"}),
        ("execution/local.py", set()),
        ("methods/persistence.py", {"run", "predictions"}),
        ("store/store.py", set()),
        ("stats/resampling.py", set()),
        ("report/build.py", set()),
        ("planning/plan.py", set()),
        ("cli/main.py", set()),
        ("testing/checks.py", set()),
    ],
)
def test_which_layers_a_file_can_change(package, file, layers):
    assert changed(package, file) == layers


def test_nothing_outside_the_computing_rooms_counts(package):
    """But how a worker makes a layer (which cases, with which seeds), and how masks are packed."""
    computing = {
        package / "store" / "masks.py",
        *(package / "execution" / f"{name}.py" for name in ("training", "predicting", "scoring", "sources")),
    }
    rooms = ("stats", "report", "planning", "execution", "claims", "cli", "store")
    files = [file for room in rooms for file in (package / room).rglob("*.py")]
    assert len(files) > 20
    for file in files:
        if file not in computing:
            file.write_text(file.read_text() + "# another line\n")
    for layer in provenance.ROOMS:
        assert engine_digest(layer, package) == engine_digest(layer)


def test_every_room_and_entry_exists():
    for layer, entries in provenance.ENTRIES.items():
        for room in provenance.ROOMS[layer]:
            place = PACKAGE / room
            assert place.is_dir() or place.with_suffix(".py").is_file(), room
        sources = set(provenance.engine_sources(layer))
        for entry in entries:
            path = entry.replace(".", "/")
            assert {f"{path}.py", f"{path}/__init__.py"} & sources, entry


def test_the_distribution_of_a_class(tmp_path):
    import numpy as np

    class Elsewhere(np.random.Generator):
        pass

    Elsewhere.__module__ = "numpy.random"
    assert distribution_of(Elsewhere) == ("numpy", version("numpy"))
    assert distribution_of(plugins_in(plugin(tmp_path) / "mine.py").get("mine").cls) is None
    assert distribution_of(discover().get("enc").cls) == ("mmbench", version("mmbench"))
