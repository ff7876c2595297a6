"""A run's identity: what means the same is the same run, what means something else is another."""

import copy
import json
import random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.files import digest_json
from mmbench.protocol.loading import parse_protocol, protocol_yaml
from mmbench.protocol.runs import DomainDigest, MethodSummary, RunSpec, expand
from mmbench.protocol.vocabulary import Stream, Task

VALUES = {
    "name": "demo",
    "seed": 5,
    "sources": {"classification": "phantom:paediatric_ap"},
    "budgets": {"pairs": [{"classification": 10}, {"classification": "full"}]},
    "subsets": 2,
    "seeds": 2,
    "methods": ["enc"],
    "image_size": 64,
    "backbone": {"name": "paper_unet", "width": 0.25},
    "training": {
        "steps": 100,
        "batch_size": 4,
        "optimizer": {"name": "adam", "learning_rate": 0.001, "weight_decay": 0.0},
        "schedule": {"name": "constant", "warmup": 0},
        "augmentation": {"flip": True, "crop": 0.05},
    },
    "evaluation": {"class_threshold": 0.5, "mask_threshold": 0.5},
}
SUMMARY = MethodSummary(
    method="enc",
    tasks=frozenset({Task.CLASSIFICATION}),
    streams=frozenset({Stream.LABELED_CLASSIFICATION}),
    hyperparameters={"weight": 1.0, "kind": "a"},
)
DIGEST = DomainDigest(domain="paediatric_ap", data="d" * 64, split="s" * 64)


def runs(values, summary=SUMMARY, digest=DIGEST):
    protocol = parse_protocol(yaml.safe_dump(values))
    entries = [(entry, summary) for entry in protocol.methods]
    return expand(protocol, entries, {Task.CLASSIFICATION: digest}, {Task.CLASSIFICATION: [digest]})


def ids(*arguments, **options):
    return [run.id for run in runs(*arguments, **options)]


def shuffled(value, choose):
    """Return the same mapping with its keys in another order, at every depth."""
    if isinstance(value, dict):
        keys = list(value)
        choose.shuffle(keys)
        return {key: shuffled(value[key], choose) for key in keys}
    return [shuffled(item, choose) for item in value] if isinstance(value, list) else value


def respelt(value, choose):
    """Return equal numbers written in another way."""
    if isinstance(value, dict):
        return {key: respelt(item, choose) for key, item in value.items()}
    if isinstance(value, list):
        return [respelt(item, choose) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return choose.choice([value, float(value)]) if value == int(value) else value


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_order_of_keys_and_spelling_of_numbers_do_not_change_it(seed):
    choose = random.Random(seed)
    assert ids(respelt(shuffled(VALUES, choose), choose)) == ids(VALUES)


CHANGES = {
    ("seed",): st.integers(0, 2**31).filter(lambda value: value != 5),
    ("image_size",): st.integers(32, 512).filter(lambda value: value != 64),
    ("backbone", "width"): st.sampled_from([0.125, 0.5, 1.0]),
    ("training", "steps"): st.integers(1, 10**6).filter(lambda value: value != 100),
    ("training", "batch_size"): st.integers(1, 512).filter(lambda value: value != 4),
    ("training", "precision"): st.just("bf16"),
    ("training", "compile"): st.just(True),
    ("training", "optimizer", "learning_rate"): st.floats(1e-6, 1.0).filter(lambda value: value != 0.001),
    ("training", "optimizer", "name"): st.sampled_from(["adamw", "sgd"]),
    ("training", "optimizer", "weight_decay"): st.floats(1e-6, 1.0),
    ("training", "schedule", "name"): st.just("cosine"),
    ("training", "augmentation", "flip"): st.just(False),
    ("training", "augmentation", "crop"): st.floats(0.06, 0.4),
    ("evaluation", "class_threshold"): st.floats(0.55, 0.95),
    ("evaluation", "mask_threshold"): st.floats(0.55, 0.95),
    ("selection",): st.just("source_val"),
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_meaning_is_another_cell(data):
    path = data.subset(st.sampled_from(sorted(CHANGES)))
    value = data.subset(CHANGES[path])
    changed = copy.deepcopy(VALUES)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not set(ids(changed)) & set(ids(VALUES)), (path, value)


def test_a_setting_left_off_keeps_the_ids_from_before_it_existed():
    run = runs(VALUES)[0]
    content = run.model_dump(mode="json", exclude={"label"})
    assert content["training"].pop("compile") is False
    assert run.id == digest_json(content)[:16]


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["data", "split", "part", "domain"]), st.text("abcdef", min_size=1, max_size=5))
def test_other_data_or_another_split_is_another_cell(field, value):
    other = DIGEST.model_copy(update={field: value})
    assert not set(ids(VALUES, digest=other)) & set(ids(VALUES))


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["weight", "kind"]),
        st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
    )
)
def test_another_hyperparameter_is_another_cell(values):
    resolved = {**SUMMARY.hyperparameters, **values}
    other = ids(VALUES, summary=SUMMARY.model_copy(update={"hyperparameters": resolved}))
    same = json.dumps(resolved, sort_keys=True) == json.dumps(SUMMARY.hyperparameters, sort_keys=True)
    assert (set(other) == set(ids(VALUES))) is same


def test_names_paths_and_the_rest_of_the_protocol_do_not_change_it():
    """What a row is called, what is compared and how much is planned has no part in one training."""
    plain = set(ids(VALUES))
    for key, value in (
        ("name", "other"),
        ("description", "words"),
        ("statistics", {"resamples": 500}),
        ("keep", ["masks"]),
        ("methods", [{"method": "enc", "name": "Classifier"}]),
        ("trivial_baselines", []),
        ("reference", "enc"),
    ):
        assert set(ids({**VALUES, key: value})) == plain, key
    assert set(ids({**VALUES, "seeds": 3})) > plain
    assert set(ids({**VALUES, "subsets": 3})) > plain


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_a_cell_read_back_from_json_is_the_same_cell(seed):
    for run in runs(VALUES):
        content = shuffled(run.model_dump(mode="json"), random.Random(seed))
        assert RunSpec.model_validate(json.loads(json.dumps(content))).id == run.id


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(CHANGES)), max_size=6), st.booleans(), st.data())
def test_a_protocol_written_and_read_is_the_same_protocol(paths, complete, data):
    values = copy.deepcopy(VALUES)
    for path in paths:
        place = values
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.subset(CHANGES[path])
    protocol = parse_protocol(yaml.safe_dump(values))
    assert parse_protocol(protocol_yaml(protocol, complete=complete)) == protocol
