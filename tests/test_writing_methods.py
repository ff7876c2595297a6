"""The examples of docs/writing-methods.md keep the contract, and its table names what there is."""

import re
from pathlib import Path

import pytest

from mmbench import methods
from mmbench.methods import Method, blocks, terms
from mmbench.networks import Body
from mmbench.plugins.discovery import discover, plugins_in
from mmbench.protocol.settings import Training
from mmbench.testing import faults
from mmbench.testing.metrics import metric_faults

TEXT = (Path(__file__).parents[1] / "docs" / "writing-methods.md").read_text()
EVERY = [part.split("```")[0] for part in TEXT.split("```python\n")[1:]]
EXAMPLES = [example for example in EVERY if "register_method(" in example]
KNOWN = {
    *dir(Method),
    *dir(methods),
    *dir(methods.Views),
    *Training.model_fields,
    *discover(),
    *(f"blocks.{name}" for name in dir(blocks)),
    *(f"terms.{name}" for name in dir(terms)),
    *(f"batch.{name}" for name in dir(methods.Batch)),
    *(f"network.body.{name}" for name in dir(Body)),
    *(
        "batch.step",
        "problem.steps",
        "cutmix.paste",
        "make_network",
        "unlabeled_target_…",
        "labeled.pool_sizes",
    ),
    *("batch[...].weak", "batch[...].rows", "batch[...].move", "batch[...].images", "nn.Module"),
    *("network.segment(images, perturb)", "mmbench.plugins.register_backbone"),
}


def test_there_are_five_of_fifteen_to_sixty_lines():
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        assert 15 <= len([line for line in example.splitlines() if line.strip()]) <= 60


@pytest.mark.parametrize("example", EXAMPLES, ids=re.findall(r'register_method\("(\w+)"', TEXT))
def test_an_example_keeps_the_contract(tmp_path, example):
    file = tmp_path / "example.py"
    file.write_text(example)
    registry = plugins_in(file)
    (name,) = registry
    assert faults(registry.get(name).cls) == []


def test_the_metric_keeps_its_contract(tmp_path):
    (example,) = (example for example in EVERY if "register_metric(" in example)
    (tmp_path / "kappa.py").write_text(example)
    (found,) = plugins_in(tmp_path / "kappa.py").extensions.values()
    assert list(metric_faults(found)) == []


def test_the_table_names_what_there_is():
    table = TEXT.split("## To do X, use Y")[1].split("## Five examples")[0]
    named = re.findall(r"`([^`]+)`", table)
    assert len(named) > 40
    for name in named:
        name = re.sub(r"^Views\(.*\)$", "Views", name).removesuffix("()")
        assert name in KNOWN, name
