"""A run's identity: what means the same is the same run, what means something else is another."""

import copy
import json
import random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.protocol.loading import parse_protocol, protocol_yaml
from mmbench.protocol.metrics import METRICS, metrics_version
from mmbench.protocol.runs import MethodSummary, RunSpec, expand
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.specs import DomainDigest, predictions_of, scores_of
from mmbench.protocol.vocabulary import Stream, Task

VALUES: dict[str, Any] = {
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
    return expand(protocol, entries, {Task.CLASSIFICATION: [digest]})


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
    ("selection",): st.just("source_val"),
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_meaning_is_another_run(data):
    path = data.draw(st.sampled_from(sorted(CHANGES)))
    value = data.draw(CHANGES[path])
    changed = copy.deepcopy(VALUES)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not set(ids(changed)) & set(ids(VALUES)), (path, value)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["data", "split"]), st.text("abcdef", min_size=1, max_size=5))
def test_other_data_or_another_split_is_another_run(field, value):
    other = DIGEST.model_copy(update={field: value})
    assert not set(ids(VALUES, digest=other)) & set(ids(VALUES))


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["weight", "kind"]),
        st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
    )
)
def test_another_hyperparameter_is_another_run(values):
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
        ("keep", {"weights": False}),
        ("evaluation", {"class_threshold": 0.3, "mask_threshold": 0.7}),
        ("methods", [{"method": "enc", "name": "Classifier"}]),
        ("trivial_baselines", []),
        ("reference", "enc"),
    ):
        assert set(ids({**VALUES, key: value})) == plain, key
    assert set(ids({**VALUES, "seeds": 3})) > plain
    assert set(ids({**VALUES, "subsets": 3})) > plain


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_a_run_read_back_from_json_is_the_same_run(seed):
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
        place[path[-1]] = data.draw(CHANGES[path])
    protocol = parse_protocol(yaml.safe_dump(values))
    assert parse_protocol(protocol_yaml(protocol, complete=complete)) == protocol


TEST, WHOLE = (DIGEST.model_copy(update={"part": part}) for part in ("test", "all"))


def layers(domain=TEST, task=Task.SEGMENTATION, policy=None, run="r" * 16, image_size=64, versions=None):
    found = predictions_of(run, [task], {task: [domain]}, image_size)
    (scores,) = scores_of(found, policy or MetricPolicy(), versions)
    return scores.predictions.id, scores.predictions.ground_truth, scores.id


def test_predictions_depend_on_the_run_the_task_and_the_images():
    plain = layers()[0]
    assert layers(run="s" * 16)[0] != plain
    assert layers(task=Task.CLASSIFICATION)[0] != plain
    for field in ("data", "split"):
        assert layers(TEST.model_copy(update={field: "x"}))[0] != plain
    assert layers(WHOLE)[0] != plain
    for field, value in (("domain", "x"), ("in_domain", True)):
        assert layers(TEST.model_copy(update={field: value})) == layers()


def test_the_whole_domain_does_not_depend_on_how_it_is_split():
    assert layers(WHOLE.model_copy(update={"split": "x"})) == layers(WHOLE)


def test_ground_truth_depends_on_no_run_but_on_the_image_size():
    assert layers(run="s" * 16)[1] == layers()[1]
    assert layers(image_size=32)[1] != layers()[1]
    assert layers(task=Task.CLASSIFICATION)[1] != layers()[1]


FIELDS = {
    "class_threshold": 0.4,
    "mask_threshold": 0.4,
    "empty_distance": "nan",
    "nsd_tolerance": 1.0,
    "spacing": 0.5,
}


def test_scores_depend_on_the_fields_of_the_policy_that_their_task_uses():
    assert set(FIELDS) == set(MetricPolicy.model_fields)
    for field, value in FIELDS.items():
        policy = MetricPolicy(**{field: value})
        for task in Task:
            same = layers(task=task, policy=policy) == layers(task=task)
            assert same is ((field == "class_threshold") is (task is not Task.CLASSIFICATION)), (field, task)
            assert layers(task=task, policy=policy)[:2] == layers(task=task)[:2]


def test_scores_depend_on_the_version_of_the_metrics(monkeypatch):
    before = {task: metrics_version(task) for task in Task}
    assert layers(versions=before) == layers()
    dice = METRICS["dice"]
    monkeypatch.setitem(METRICS, "dice", type(dice)(**{**vars(dice), "version": 2}))
    assert metrics_version(Task.CLASSIFICATION) == before[Task.CLASSIFICATION]
    assert layers()[2] != layers(versions=before)[2]
    assert layers()[:2] == layers(versions=before)[:2]
