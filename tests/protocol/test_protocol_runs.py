import json
import random
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.errors import ProtocolError
from mmbench.protocol.loading import parse_protocol, protocol_yaml
from mmbench.protocol.runs import RunSpec, expand
from mmbench.protocol.schema import MethodEntry

PUBLISHED = ("unet", "enc", "encssl", "umtl", "umtls", "multimix")


def cells_of(matrix, text=None, names=PUBLISHED) -> list[RunSpec]:
    protocol = parse_protocol(text or matrix.text)
    return expand(protocol, matrix.rows(*names), matrix.sources, matrix.targets)


def ids(matrix, text) -> list[str]:
    return [run.id for run in cells_of(matrix, text)]


def test_the_publications_matrix_has_36_rows(matrix):
    counts = Counter(run.method for run in cells_of(matrix))
    assert counts == {"unet": 3, "enc": 3, "encssl": 3, "umtl": 9, "umtls": 9, "multimix": 9}


def test_seeds_and_draws_multiply_and_unseeded_floors_have_one_seed(matrix):
    text = matrix.text + "seeds: 5\ndraws: 2\n"
    counts = Counter(
        run.method for run in cells_of(matrix, text, ("umtl", "majority", "prevalence", "mean_mask"))
    )
    assert counts == {"umtl": 9 * 10, "majority": 3 * 2, "prevalence": 3 * 10, "mean_mask": 3 * 2}


def test_every_id_is_distinct_and_short(matrix):
    found = ids(matrix, matrix.text + "seeds: 3\ndraws: 2\n")
    assert len(set(found)) == len(found) == 36 * 6
    assert all(len(id) == 16 and int(id, 16) >= 0 for id in found)


def test_an_id_never_changes_between_versions(matrix):
    """A change here re-runs everyone's results: it must be meant."""
    assert cells_of(matrix)[0].id == "1d9a50db4e20ae86"


def test_a_method_that_learns_a_task_without_a_source_has_no_cells(matrix):
    text = "{name: a, sources: {classification: kermany}, budgets: {grid: {classification: [10]}}, methods: [umtl]}"
    runs = cells_of(matrix, text)
    assert {run.method for run in runs} == {"enc", "encssl"}
    assert all(list(run.budgets) == ["classification"] for run in runs)
    assert all(list(run.sources) == list(run.targets) == ["classification"] for run in runs)


def test_pairs_give_single_task_methods_each_budget_once(matrix):
    pairs = "pairs: [{classification: 100, segmentation: 10}, {classification: 1000, segmentation: 10}, " + (
        "{classification: 100, segmentation: 10}]"
    )
    start, end = matrix.text.index("  grid:"), matrix.text.index("methods:")
    text = matrix.text[:start] + f"  {pairs}\n" + matrix.text[end:]
    assert Counter(run.method for run in cells_of(matrix, text)) == {
        "unet": 1,
        "enc": 2,
        "encssl": 2,
        "umtl": 2,
        "umtls": 2,
        "multimix": 2,
    }


def test_one_training_under_two_names_is_refused(matrix):
    protocol = parse_protocol(matrix.text)
    twin = (MethodEntry(method="umtl", name="twin"), matrix.summaries["umtl"])
    with pytest.raises(
        ProtocolError, match="'umtl' and 'twin' are the same method with the same hyper-parameters"
    ):
        expand(protocol, [*matrix.rows("umtl"), twin], matrix.sources, matrix.targets)


def test_cells_round_trip_through_json(matrix):
    for run in cells_of(matrix):
        again = RunSpec.model_validate_json(run.model_dump_json())
        assert again == run
        assert again.id == run.id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: 1e3", "steps: 1000"),
        ("steps: 1e3", "steps: 1_000"),
        ("learning_rate: 1e-3", "learning_rate: 0.001"),
        ("learning_rate: 1e-3", "learning_rate: 1.0E-03"),
        ("{name: adam, learning_rate: 1e-3}", "{learning_rate: 1e-3, name: adam}"),
        ("# the publication's matrix", "# another comment"),
        ("name: paper-like", "name: renamed"),
        ("name: paper-like", "name: paper-like\ndescription: words"),
        ("name: paper-like", "name: paper-like\nkeep: [masks]"),
        ("name: paper-like", "name: paper-like\nimage_size: 256"),
        ("name: paper-like", "name: paper-like\nbackbone: {width: 1}"),
        ("name: paper-like", "name: paper-like\nselection: last"),
        ("name: paper-like", "name: paper-like\nreference: umtl"),
        ("name: MultiMix", "name: Ours"),
        ("[100, 1000, full]", "[full, 1000, 100, 100]"),
        ("[100, 1000, full]", "['100', 1000, full]"),
    ],
)
def test_what_cannot_change_the_scores_does_not_change_an_id(matrix, old, new):
    assert old in matrix.text
    assert set(ids(matrix, matrix.text.replace(old, new))) == set(ids(matrix, matrix.text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: 1e3", "steps: 1001"),
        ("learning_rate: 1e-3", "learning_rate: 1e-4"),
        ("name: adam", "name: adamw"),
        ("name: paper-like", "name: paper-like\nseed: 1"),
        ("name: paper-like", "name: paper-like\nimage_size: 128"),
        ("name: paper-like", "name: paper-like\nbackbone: {width: 0.5}"),
        ("name: paper-like", "name: paper-like\nbackbone: smp:unet/resnet18"),
        ("name: paper-like", "name: paper-like\nselection: source_val"),
        ("name: paper-like", "name: paper-like\nevaluation: {mask_threshold: 0.4}"),
        ("steps: 1e3", "steps: 1e3\n  precision: bf16"),
        ("steps: 1e3", "steps: 1e3\n  augmentation: {flip: false}"),
    ],
)
def test_what_can_change_the_scores_changes_every_id(matrix, old, new):
    assert not set(ids(matrix, matrix.text.replace(old, new))) & set(ids(matrix, matrix.text))


@pytest.mark.parametrize("which", ["data", "split", "part"])
def test_the_data_are_part_of_the_identity(matrix, which):
    protocol = parse_protocol(matrix.text)
    before = expand(protocol, matrix.rows("umtl"), matrix.sources, matrix.targets)
    changed = {
        task: [domains[0], domains[1].model_copy(update={which: "x"})]
        for task, domains in matrix.targets.items()
    }
    after = expand(protocol, matrix.rows("umtl"), matrix.sources, changed)
    assert not {run.id for run in before} & {run.id for run in after}


def test_the_source_of_a_plugin_is_not_part_of_the_identity(matrix):
    protocol = parse_protocol(matrix.text)
    entry, summary = matrix.rows("umtl")[0]
    edited = summary.model_copy(update={"source_digest": "x"})
    before, after = (
        expand(protocol, [(entry, chosen)], matrix.sources, matrix.targets) for chosen in (summary, edited)
    )
    assert [run.id for run in before] == [run.id for run in after]


numbers = st.floats(1e-9, 99, allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 10**9),
    rate=numbers,
    seed=st.integers(0, 2**63 - 1),
    width=st.floats(0.01, 8),
    shuffle=st.randoms(use_true_random=False),
)
def test_ids_survive_writing_reading_and_reordering(matrix, steps, rate, seed, width, shuffle: random.Random):
    protocol = parse_protocol(matrix.text)
    training = protocol.training.model_copy(
        update={
            "steps": steps,
            "optimizer": protocol.training.optimizer.model_copy(update={"learning_rate": rate}),
        }
    )
    backbone = protocol.backbone.model_copy(update={"width": width})
    changed = protocol.model_copy(update={"training": training, "seed": seed, "backbone": backbone})
    text = protocol_yaml(changed, complete=shuffle.random() < 0.5)
    assert parse_protocol(text) == changed

    def reordered(value):
        if isinstance(value, dict):
            items = list(value.items())
            shuffle.shuffle(items)
            return {key: reordered(item) for key, item in items}
        return [reordered(item) for item in value] if isinstance(value, list) else value

    mixed = json.dumps(reordered(yaml.safe_load(text)))
    assert parse_protocol(mixed) == changed
    assert {run.id for run in cells_of(matrix, mixed, ("umtl",))} == {
        run.id for run in expand(changed, matrix.rows("umtl"), matrix.sources, matrix.targets)
    }
