"""The conformance check passes the built-in methods and names what a bad one does."""

import re

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    Method,
    Prediction,
    Problem,
)
from mmbench.methods.conformance import faults
from mmbench.plugins.discovery import discover

REGISTRY = discover()


@pytest.mark.parametrize("name", list(REGISTRY))
def test_built_in_methods_conform(name):
    assert faults(REGISTRY.get(name).cls) == []


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
    (found,) = faults(Remembers)
    assert found.startswith("training resumed from a checkpoint ends with different weights in net")

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
