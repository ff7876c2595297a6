"""Shared and published settings of training."""

import pytest
import yaml

from mmbench.errors import ProtocolError
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.recipes import changed_training
from mmbench.protocol.runs import expand
from mmbench.protocol.schema import Training

FIXMATCH = {"unlabeled_ratio": 7, "ema": 0.999, "optimizer": {"name": "sgd", "learning_rate": 0.03}}


def expanded(matrix, recipe, published=FIXMATCH, **training):
    content = yaml.safe_load(matrix.text)
    content |= {"recipe": recipe, "training": {**content["training"], **training}}
    rows = [
        (entry, summary.model_copy(update={"published": published if summary.method == "encssl" else {}}))
        for entry, summary in matrix.rows("enc", "encssl")
    ]
    return expand(parse_protocol(yaml.safe_dump(content)), rows, matrix.domains)


def test_only_rows_that_publish_settings_are_trained_with_others(matrix):
    shared, published = (expanded(matrix, recipe) for recipe in ("shared", "published"))
    changed = {one.method for one, other in zip(shared, published, strict=True) if one.id != other.id}
    assert changed == {"encssl"}
    training = next(run.training for run in published if run.method == "encssl")
    assert (training.unlabeled_ratio, training.ema, training.optimizer.name) == (7, 0.999, "sgd")
    # What the publication leaves out stays the protocol's.
    assert (training.steps, training.optimizer.momentum) == (1000, 0.9)


def test_a_published_average_takes_the_place_of_the_protocols():
    training = Training(swa={"start": 0.5})
    assert changed_training(training, {"ema": 0.99}).swa is None
    assert changed_training(training, {"clip": 1.0}).swa == training.swa


def test_steps_are_never_published():
    with pytest.raises(ValueError, match="'steps' is no setting .*; they are unlabeled_ratio"):
        changed_training(Training(), {"steps": 5})


def test_settings_that_do_not_go_with_the_protocol_are_refused(matrix):
    with pytest.raises(ProtocolError, match="encssl's own settings do not fit"):
        expanded(matrix, "published", {"swad": {"converge": 9}}, validations=5)
    content = yaml.safe_load(matrix.text) | {"selection": "source_val", "recipe": "published"}
    rows = [(e, s.model_copy(update={"published": {"swad": {}}})) for e, s in matrix.rows("enc")]
    with pytest.raises(ProtocolError, match="enc is trained with swad.*write last"):
        expand(parse_protocol(yaml.safe_dump(content)), rows, matrix.domains)


def test_settings_that_are_the_method_hold_under_every_recipe(matrix):
    rows = [(e, s.model_copy(update={"training": {"swad": {}}})) for e, s in matrix.rows("enc")]
    for recipe in ("shared", "published"):
        content = yaml.safe_load(matrix.text) | {"recipe": recipe}
        runs = expand(parse_protocol(yaml.safe_dump(content)), rows, matrix.domains)
        assert {run.training.swad is not None for run in runs} == {True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training: {ema: 0.9, swa: {}}", "only one average can be evaluated; remove this key or ema"),
        ("training: {swad: {}, validations: 2}", "swad needs at least 3 validations"),
        ("{training: {swad: {}}, selection: source_val}", "swad chooses the steps"),
        ("recipe: own", "recipe"),
        ("training: {unlabeled_ratio: 0}", "unlabeled_ratio"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(matrix, change, message):
    content = yaml.safe_load(matrix.text) | yaml.safe_load(change)
    with pytest.raises(ProtocolError, match=message):
        parse_protocol(yaml.safe_dump(content))


def test_averages_and_the_ratio_change_a_runs_identity_only_where_they_are_set(matrix):
    plain = {run.id for run in expanded(matrix, "shared")}
    assert {run.id for run in expanded(matrix, "shared", unlabeled_ratio=1, swa=None)} == plain
    for change in ({"unlabeled_ratio": 2}, {"swa": {}}, {"swad": {}}):
        assert not plain & {run.id for run in expanded(matrix, "shared", **change)}
    one, other = (expanded(matrix, "shared", swad={}, validations=count) for count in (5, 10))
    assert one[0].id != other[0].id, "the valley depends on the validations"
