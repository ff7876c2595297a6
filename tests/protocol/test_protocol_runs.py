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
from mmbench.protocol.vocabulary import Task

PUBLISHED = ("unet", "enc", "encssl", "umtl", "umtls", "multimix")


def runs_of(matrix, text=None, names=PUBLISHED) -> list[RunSpec]:
    protocol = parse_protocol(text or matrix.text)
    return expand(protocol, matrix.rows(*names), matrix.domains)


def ids(matrix, text) -> list[str]:
    return [run.id for run in runs_of(matrix, text)]


def test_the_publications_matrix_has_36_rows(matrix):
    counts = Counter(run.method for run in runs_of(matrix))
    assert counts == {"unet": 3, "enc": 3, "encssl": 3, "umtl": 9, "umtls": 9, "multimix": 9}


def test_seeds_and_subsets_multiply_and_unseeded_baselines_have_one_seed(matrix):
    text = matrix.text + "seeds: 5\nsubsets: 2\n"
    counts = Counter(
        run.method for run in runs_of(matrix, text, ("umtl", "majority", "prevalence", "mean_mask"))
    )
    assert counts == {"umtl": 9 * 10, "majority": 3 * 2, "prevalence": 3 * 10, "mean_mask": 3 * 2}


def test_each_seed_has_a_labelled_subset_of_its_own_unless_they_are_crossed(matrix):
    runs = runs_of(matrix, matrix.text + "seeds: 3\n", ("umtl", "majority", "prevalence"))
    drawn = {
        method: {(run.subset, run.seed) for run in runs if run.method == method}
        for method in ("umtl", "majority", "prevalence")
    }
    assert drawn["umtl"] == drawn["prevalence"] == {(0, 0), (1, 1), (2, 2)}
    assert drawn["majority"] == {(0, 0), (1, 0), (2, 0)}


def test_validations_are_no_part_of_a_runs_identity_unless_it_may_stop(matrix):
    def changed(**training):
        content = yaml.safe_load(matrix.text)
        return ids(matrix, yaml.safe_dump({**content, "training": {**content["training"], **training}}))

    assert changed(validations=5) == changed(validations=20)
    one, other = (changed(validations=count, stop={"patience": 3}) for count in (5, 20))
    assert not set(one) & set(other)


def test_settings_that_have_no_effect_are_no_part_of_a_runs_identity(matrix):
    def changed(**training):
        content = yaml.safe_load(matrix.text)
        return ids(matrix, yaml.safe_dump({**content, "training": {**content["training"], **training}}))

    assert changed(schedule={"name": "cosine", "power": 2}) == changed(schedule="cosine")
    assert not set(changed(schedule={"name": "poly", "power": 2})) & set(changed(schedule="poly"))
    assert not set(changed(clip=1.0)) & set(changed())


def test_every_id_is_distinct_and_short(matrix):
    found = ids(matrix, matrix.text + "seeds: 3\nsubsets: 2\n")
    assert len(set(found)) == len(found) == 36 * 6
    assert all(len(id) == 16 and int(id, 16) >= 0 for id in found)


def test_an_id_never_changes_between_versions(matrix):
    """A change here re-runs everyone's results: it must be meant."""
    assert runs_of(matrix)[0].id == "a39bb83764c2c329"


def test_a_method_that_learns_a_task_without_a_source_has_no_runs(matrix):
    text = (
        "{name: a, sources: {classification: kermany}, budgets: {grid: {classification: [10]}}, "
        "methods: [umtl]}"
    )
    runs = runs_of(matrix, text)
    assert {run.method for run in runs} == {"enc", "encssl"}
    assert all(list(run.budgets) == ["classification"] for run in runs)
    assert all(list(run.sources) == ["classification"] for run in runs)


def test_pairs_give_single_task_methods_each_budget_once(matrix):
    pairs = "pairs: [{classification: 100, segmentation: 10}, {classification: 1000, segmentation: 10}, " + (
        "{classification: 100, segmentation: 10}]"
    )
    start, end = matrix.text.index("  grid:"), matrix.text.index("methods:")
    text = matrix.text[:start] + f"  {pairs}\n" + matrix.text[end:]
    assert Counter(run.method for run in runs_of(matrix, text)) == {
        "unet": 1,
        "enc": 2,
        "encssl": 2,
        "umtl": 2,
        "umtls": 2,
        "multimix": 2,
    }


def test_methods_of_a_pair_and_a_seed_share_their_random_numbers(matrix):
    start, end = matrix.text.index("  grid:"), matrix.text.index("methods:")
    pairs = "  pairs: [{classification: 100, segmentation: 10}, {classification: full, segmentation: full}]\n"
    text = matrix.text[:start] + pairs + matrix.text[end:] + "seeds: 2\n"
    runs = runs_of(matrix, text)
    shared = {}
    for run in runs:
        shared.setdefault((tuple(run.budgets.values())[-1] == "full", run.seed), set()).add(run.root_seed)
    assert len(shared) == 4
    assert all(len(seeds) == 1 for seeds in shared.values()), "one for all methods"
    known = set.union(*shared.values())
    assert len(known) == 4, "others for another pair or seed"
    assert not known & {run.root_seed for run in runs_of(matrix, text + "seed: 1\n")}


def test_one_that_learns_one_task_shares_those_of_the_first_pair_it_is_in(matrix):
    (unet, *_), *others = (
        [run for run in runs_of(matrix) if run.method == name and run.budgets.get(task) == 10]
        for name, task in (("unet", Task.SEGMENTATION), ("umtl", Task.SEGMENTATION))
    )
    assert unet.paired_budgets == {"classification": 100, "segmentation": 10}
    assert [run.root_seed == unet.root_seed for run in others[0]].count(True) == 1


def test_one_training_under_two_names_is_refused(matrix):
    protocol = parse_protocol(matrix.text)
    twin = (MethodEntry(method="umtl", name="twin"), matrix.summaries["umtl"])
    with pytest.raises(
        ProtocolError, match="'umtl' and 'twin' are the same method with the same hyper-parameters"
    ):
        expand(protocol, [*matrix.rows("umtl"), twin], matrix.domains)


def test_runs_round_trip_through_json(matrix):
    for run in runs_of(matrix):
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
        ("name: paper-like", "name: paper-like\nkeep: {weights: false, probabilities: 8}"),
        ("name: paper-like", "name: paper-like\nimage_size: 256"),
        ("name: paper-like", "name: paper-like\nbackbone: {width: 1}"),
        ("name: paper-like", "name: paper-like\nselection: last"),
        ("name: paper-like", "name: paper-like\nreference: umtl"),
        ("name: MultiMix", "name: Ours"),
        ("name: paper-like", "name: paper-like\nevaluation: {mask_threshold: 0.4}"),
        ("classification: nih", "classification: [nih, rsna]"),
        ("[100, 1000, full]", "[full, 1000, 100, 100]"),
        ("[100, 1000, full]", "['100', 1000, full]"),
    ],
)
def test_what_cannot_change_the_weights_does_not_change_an_id(matrix, old, new):
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
        ("steps: 1e3", "steps: 1e3\n  precision: bf16"),
        ("steps: 1e3", "steps: 1e3\n  compile: true"),
        ("steps: 1e3", "steps: 1e3\n  augmentation: {flip: false}"),
    ],
)
def test_what_can_change_the_weights_changes_every_id(matrix, old, new):
    assert not set(ids(matrix, matrix.text.replace(old, new))) & set(ids(matrix, matrix.text))


def changed_domains(matrix, place, **update):
    return {
        task: [d.model_copy(update=update) if number == place else d for number, d in enumerate(domains)]
        for task, domains in matrix.domains.items()
    }


def ids_on(matrix, domains, extra=""):
    protocol = parse_protocol(matrix.text + extra)
    return {run.id for run in expand(protocol, matrix.rows("umtl", "majority"), domains)}


@pytest.mark.parametrize("which", ["data", "split"])
def test_the_data_of_the_source_are_part_of_the_identity(matrix, which):
    other = changed_domains(matrix, 0, **{which: "x"})
    assert not ids_on(matrix, matrix.domains) & ids_on(matrix, other)


@pytest.mark.parametrize("which", ["data", "split", "part", "domain"])
def test_the_targets_are_not(matrix, which):
    other = changed_domains(matrix, 1, **{which: "x"})
    assert ids_on(matrix, matrix.domains) == ids_on(matrix, other)


def test_a_domains_name_is_not(matrix):
    assert ids_on(matrix, matrix.domains) == ids_on(matrix, changed_domains(matrix, 0, domain="x"))


def test_weights_chosen_on_the_targets_depend_on_them(matrix):
    oracle = "selection: oracle\n"
    other = changed_domains(matrix, 1, data="x")
    trivial = {run.id for run in runs_of(matrix, matrix.text + oracle, ("majority",))}
    shared = ids_on(matrix, matrix.domains, oracle) & ids_on(matrix, other, oracle)
    assert shared == trivial
    renamed = changed_domains(matrix, 1, domain="x")
    assert ids_on(matrix, matrix.domains, oracle) == ids_on(matrix, renamed, oracle)


def test_the_source_of_a_plugin_is_not_part_of_the_identity(matrix):
    protocol = parse_protocol(matrix.text)
    entry, summary = matrix.rows("umtl")[0]
    edited = summary.model_copy(update={"source_digest": "x"})
    before, after = (expand(protocol, [(entry, chosen)], matrix.domains) for chosen in (summary, edited))
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
    assert {run.id for run in runs_of(matrix, mixed, ("umtl",))} == {
        run.id for run in expand(changed, matrix.rows("umtl"), matrix.domains)
    }
