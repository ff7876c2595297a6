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
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, 2))

    def losses(self, batch):
        part = batch[LABELED_CLASSIFICATION]
        return {"ce": nn.functional.cross_entropy(self.net(part.images), part.labels)}

    def predict(self, images, task):
        return Prediction(class_logits=self.net(images))


def test_a_good_method_has_no_faults():
    assert faults(Good) == []


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
        (variant(build=lambda self, problem: None), "build makes no nn.Module"),
        (variant(losses=lambda self, batch: {"ce": torch.ones(3)}), "loss term 'ce' is not a finite scalar"),
        (
            variant(losses=lambda self, batch: {"ce": torch.tensor(torch.nan)}),
            "loss term 'ce' is not a finite",
        ),
        (variant(losses=lambda self, batch: {"ce": torch.tensor(1.0)}), "no loss term depends on a weight"),
        (variant(losses=lambda self, batch: {"ce": self.net(0)}), "losses raises"),
        (
            variant(losses=writes_into_batch),
            r"losses writes into the batch \(labeled_classification.images\)",
        ),
        (
            variant(predict=lambda self, images, task: Prediction()),
            "predict gives class_logits of shape None",
        ),
        (
            variant(predict=lambda self, images, task: Prediction(class_logits=torch.randn(len(images), 2))),
            "for the same images the second time",
        ),
        (
            variant(
                predict=lambda self, images, task: Prediction(
                    class_logits=self.net(images - images.mean()) * 9
                )
            ),
            "alone than in a batch",
        ),
        (
            variant(predict=trains_in_predict),
            "predict changes the weights|predict leaves net in training mode",
        ),
        (variant(Hyperparameters=Lenient), "Hyperparameters accept unknown keys"),
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
    assert found.startswith("a training that goes on from a checkpoint ends with other weights of net")

    class Kept(Remembers):
        def state(self):
            return {"calls": self.calls}

        def load_state(self, state):
            self.calls = state["calls"]

    assert faults(Kept) == []
