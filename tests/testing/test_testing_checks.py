"""Each check of the kit fails on a method that has just that fault, and names it."""

import re
from typing import Annotated, Any, Literal

import pytest
import torch
from mmbench.baselines.umtl import UMTL
from pydantic import BaseModel
from torch import nn

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    UNLABELED_CLASSIFICATION,
    Adaptation,
    Method,
    Prediction,
    Problem,
    Range,
    blocks,
)
from mmbench.testing import CHECKS, MethodTests, Subject, faults, run_check


class Good(Method):
    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION}

    def build(self, problem):
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, problem.num_classes))

    def losses(self, batch):
        part = batch[LABELED_CLASSIFICATION]
        return {"ce": nn.functional.cross_entropy(self.net(part.images), part.labels)}

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images))


def test_a_good_method_has_no_faults():
    assert faults(Good) == []


def of_two_classes(self, problem):
    Good.build(self, Problem(problem.tasks, problem.backbone, problem.image_size))


def test_a_method_of_two_classes_alone_says_so():
    two = variant(
        build=of_two_classes, losses=lambda self, batch: {"sum": self.net(batch_images(batch)).sum()}
    )
    (fault,) = faults(two)
    assert "of 3 classes and 2 structures, predict returns class_logits of shape (4, 2), not (4, 3)" in fault
    honest = classmethod(lambda cls, problem: "two classes only" if problem.num_classes > 2 else None)
    assert faults(variant(build=of_two_classes, skip=honest)) == []


def batch_images(batch):
    return batch[LABELED_CLASSIFICATION].images


class Lenient(BaseModel):
    pass


def variant(**members):
    return type("Bad", (Good,), members)


def writes_into_batch(self, batch):
    batch[LABELED_CLASSIFICATION].images.zero_()
    return Good.losses(self, batch)


def trains_in_predict(self, images, task):
    self.net.train()
    with torch.no_grad():
        self.net[2].weight.add_(1)
    return Good.predict(self, images, task)


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (variant(build=lambda self, problem: None), "build assigns no nn.Module"),
        (variant(losses=lambda self, batch: {"ce": torch.ones(3)}), "loss term 'ce' is not a finite scalar"),
        (
            variant(losses=lambda self, batch: {"ce": torch.tensor(torch.nan)}),
            "loss term 'ce' is not a finite",
        ),
        (variant(losses=lambda self, batch: {"ce": torch.tensor(1.0)}), "no loss term depends on a weight"),
        (variant(losses=lambda self, batch: {"ce": self.net(0)}), "losses raises"),
        (
            variant(losses=writes_into_batch),
            r"losses modifies the batch \(labeled_classification.images\)",
        ),
        (
            variant(predict=lambda self, images, task: Prediction()),
            "predict returns class_logits of shape None",
        ),
        (
            variant(predict=lambda self, images, task: Prediction(class_logits=torch.randn(len(images), 2))),
            "when called twice with the same images",
        ),
        (
            variant(
                predict=lambda self, images, task: Prediction(
                    class_logits=self.net(images - images.mean()) * 9
                )
            ),
            "for an image alone than for it in a batch",
        ),
        (
            variant(predict=trains_in_predict),
            "predict changes the weights|predict leaves net in training mode",
        ),
        (variant(Hyperparameters=Lenient), "Hyperparameters accept unknown keys"),
        (
            variant(
                predict=lambda self, images, task: Prediction(
                    class_logits=self.net(images), mask_logits=torch.zeros_like(images)
                )
            ),
            "predict returns mask_logits when asked for classification; return only what is asked for",
        ),
        (
            variant(state=lambda self: {"rows": {1, 2}}),
            r"saving and loading raises PluginError: .*state\(\)\['rows'\]",
        ),
    ],
)
def test_a_bad_method_is_told_what_it_does(cls, fault):
    found = faults(cls)
    assert found
    assert any(re.search(fault, line) for line in found), found


class Remembers(Good):
    """Weighs its loss by how often it was called."""

    calls = 0

    def losses(self, batch):
        self.calls += 1
        return {name: term * self.calls for name, term in Good.losses(self, batch).items()}


def test_state_that_a_checkpoint_would_lose_is_a_fault():
    repeated, resumed = faults(Remembers)
    assert repeated.startswith("loss term 'ce' is another one when losses is called again for the same step")
    assert resumed.startswith("training resumed from a checkpoint ends with different weights in net")

    class Kept(Remembers):
        def state(self):
            return {"calls": self.calls}

        def load_state(self, state):
            self.calls = state["calls"]

    assert faults(Kept) == []


class Biased(Good):
    """Adds to its logits what ``start`` saw of the labels, kept outside the modules."""

    def build(self, problem):
        super().build(problem)
        self.bias = torch.zeros(problem.num_classes)

    def start(self, labeled):
        self.bias = labeled.labels[: len(self.bias)].float()  # not the same for every class

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images) + self.bias)


class Drawn(Good):
    """Predicts with random weights that belong to no module."""

    def build(self, problem):
        super().build(problem)
        self.projection = torch.randn(problem.num_classes, problem.num_classes)

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images) @ self.projection)


class MovedOn(Good):
    """Predicts with a temperature that steps change."""

    temperature = 1.0

    def after_step(self, step):
        self.temperature *= 0.5

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images) / self.temperature)


@pytest.mark.parametrize(("cls", "key"), [(Biased, "bias"), (Drawn, "projection"), (MovedOn, "temperature")])
def test_what_predict_needs_and_is_not_saved_is_a_fault(cls, key):
    (found,) = faults(cls)
    assert found == (
        "a method rebuilt from its saved modules and state predicts different class_logits; have state() "
        "return, and load_state() restore, whatever else predict needs"
    )
    kept = {
        "state": lambda self: {key: getattr(self, key)},
        "load_state": lambda self, state: setattr(self, key, state[key]),
    }
    assert faults(type("Kept", (cls,), kept)) == []


class Outside(Good.Hyperparameters):  # type: ignore[valid-type, misc]  # mypy sees a variable
    """May not be tuned to its default."""

    weight: Annotated[float, Range(0.1, 1.0)] = 2.0


class Tuned(Good):
    """Has hyper-parameters, one of each kind."""

    class Hyperparameters(Good.Hyperparameters):  # type: ignore[valid-type, misc]  # mypy sees a variable
        weight: float = 1.0
        power: int = 1
        squared: bool = False
        kind: Literal["plain", "doubled"] = "plain"

    def losses(self, batch):
        own, term = self.hyperparameters, Good.losses(self, batch)["ce"]
        term = term.square() if own.squared else term
        return {"ce": own.weight * term**own.power * (2 if own.kind == "doubled" else 1)}


def test_hyper_parameters_that_do_something_are_no_fault():
    assert faults(Tuned) == []


@pytest.mark.parametrize("name", ["weight", "power", "squared", "kind"])
def test_a_hyper_parameter_that_changes_nothing_is_a_fault(name):
    class Idle(Tuned):
        def losses(self, batch):
            values = self.hyperparameters
            default = type(values).model_fields[name].default
            self.hyperparameters = values.model_copy(update={name: default})
            found = Tuned.losses(self, batch)
            self.hyperparameters = values
            return found

    (found,) = faults(Idle)
    assert found.startswith(f"hyper-parameter '{name}' changes nothing in 40 steps of training")


class Thresholded(Good):
    """A loss of confident predictions, of which there are none after a few steps."""

    class Hyperparameters(Good.Hyperparameters):  # type: ignore[valid-type, misc]  # mypy sees a variable
        threshold: float = 0.999

    streams = {LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION}

    def losses(self, batch):
        logits = self.net(batch[UNLABELED_CLASSIFICATION].images)
        sure, label = logits.softmax(1).max(1)
        own = nn.functional.cross_entropy(logits, label, reduction="none")
        found = {"own": (own * (sure > self.hyperparameters.threshold)).mean()}
        return {**Good.losses(self, batch), **found}


def test_a_loss_term_that_only_needs_a_lower_threshold_is_no_fault():
    assert faults(Thresholded) == []


class Doubled(Good):
    """Has a second network that is to follow the first."""

    def build(self, problem):
        super().build(problem)
        self.teacher = blocks.teacher_of(self.net)

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images) + self.teacher(images))


def followed(self, step):
    blocks.follow(self.teacher, self.net, 0.9)


class Adapting(Good):
    adaptation = Adaptation(batch_size=3)

    def adapt(self, images, task):
        with torch.no_grad():
            self.net[2].get_parameter("bias")[0] += images.mean()


class Batchwise(Good):
    def combine(self, gradients):
        return next(iter(gradients.values()))[:3]


def both(self, batch):
    part = batch[UNLABELED_CLASSIFICATION]
    return {**Good.losses(self, batch), "other": 0.0 * self.net(part.images).sum()}


def without_gradient(self, batch):
    with torch.no_grad():
        other = self.net(batch_images(batch)).square().mean()
    return {**Good.losses(self, batch), "other": other}


STREAMS = {LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION}
UNUSED = "stream unlabeled_classification changes no loss term and no prediction"
PLANTED = [
    ("hyper-parameters", variant(Hyperparameters=Lenient), "Hyperparameters accept unknown keys"),
    ("losses", variant(losses=writes_into_batch), "losses modifies the batch"),
    ("predictions", variant(predict=trains_in_predict), "predict leaves net in training mode"),
    ("loss terms", variant(losses=both, streams=STREAMS), "loss term 'other' is 0 at every step"),
    ("loss terms", variant(losses=without_gradient), "loss term 'other' has no gradient by any weight"),
    ("ranges of hyper-parameters", variant(Hyperparameters=Outside), "may not be tuned to its default 2.0"),
    ("use of streams", variant(streams=STREAMS), UNUSED),
    ("repeated steps", Remembers, "loss term 'ce' is another one when losses is called again"),
    ("teachers", Doubled, "teacher has the layers of net and never moves"),
    ("adaptation", type("Idle", (Adapting,), {"adapt": lambda *_: None}), "adapt changes no prediction"),
    ("shared training", variant(trained_as="enc"), "trained_as names 'enc', but after 4 steps net has other"),
    ("shared training", variant(trained_as="ennc"), "trained_as names 'ennc', and there is no such method"),
    ("resuming from a checkpoint", Remembers, "training resumed from a checkpoint ends with different"),
    ("resuming from a checkpoint", Batchwise, "resuming from a checkpoint raises RuntimeError: split"),
    ("saving and loading", Drawn, "a method rebuilt from its saved modules and state predicts different"),
    ("three classes and two structures", variant(build=of_two_classes), "three classes and two structures"),
    ("originality", type("Copy", (UMTL,), {"name": "copy"}), "it predicts exactly what umtl does"),
    (
        "effects of hyper-parameters",
        variant(Hyperparameters=Tuned.Hyperparameters),
        "'weight' changes nothing",
    ),
]


@pytest.mark.parametrize(("check", "cls", "fault"), PLANTED)
def test_each_check_finds_the_fault_that_it_is_for(check, cls, fault):
    found = run_check(check, Subject(cls, {}))
    assert any(fault in line for line in found), found


def test_every_check_has_a_planted_fault():
    assert {check for check, _, _ in PLANTED} == set(CHECKS)


@pytest.mark.parametrize("cls", [Adapting, type("Followed", (Doubled,), {"after_step": followed})])
def test_what_adapts_and_what_follows_is_no_fault(cls):
    assert faults(cls) == []


def test_a_method_that_runs_nowhere_says_why():
    refusing = classmethod(lambda cls, problem: "needs 3D images")
    found = faults(variant(skip=refusing))
    assert any("skip refuses to run: needs 3D images" in line for line in found)


def test_checks_are_told_one_by_one_as_they_end():
    seen = []
    assert faults(Good, on_check=lambda name, found: seen.append(name)) == []
    assert seen == list(CHECKS)


def test_a_suite_has_a_test_for_each_check_and_fails_where_the_check_does():
    class TestGood(MethodTests):
        method = Good

    class TestBad(MethodTests):
        method = variant(predict=trains_in_predict)

    tests = [name for name in dir(TestGood) if name.startswith("test_")]
    assert len(tests) == len(CHECKS)
    for name in tests:
        getattr(TestGood(), name)()
    bad: Any = TestBad()  # its tests are made at run time
    bad.test_hyper_parameters()
    with pytest.raises(AssertionError, match="predict leaves net in training mode"):
        bad.test_predictions()
