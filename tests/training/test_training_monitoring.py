"""Validation along the way, early stopping, and averaged weights."""

import math

import pytest
import torch

from mmbench.protocol.schema import Optimizer, Stop
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import train
from mmbench.training.monitoring import Monitor, last_gain
from mmbench.training.selection import BestWeights, LastWeights
from tests.training.test_training_loop import CPU, setup

SGD = Optimizer(name="sgd", learning_rate=0.1, momentum=0)


def weight_of(method):
    return {"weight": method.layer.weight.item()}


def test_validations_are_evenly_spaced_and_the_last_is_at_the_end():
    method, loader, training = setup(steps=25, optimizer=SGD)
    monitor = Monitor(weight_of, 25, 10)
    history = train(method, loader, training, LastWeights(), device=CPU, monitor=monitor)
    assert [row["step"] for row in monitor.scores] == [2, 5, 8, 10, 12, 15, 18, 20, 22, 25]
    by_step = {row["step"]: row["weight"] for row in history.losses}
    assert all(row["weight"] == by_step[row["step"]] for row in monitor.scores)


def test_validations_change_nothing_of_the_training():
    weights = []
    for count in (0, 5):
        method, loader, training = setup(steps=5)
        monitor = Monitor(lambda method: {"a": torch.rand(1).item()}, 5, count)
        train(method, loader, training, LastWeights(), device=CPU, monitor=monitor)
        weights.append(method.layer.weight.item())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("scores", "min_gain", "steps"),
    [
        ([0.1, 0.5, 0.5, 0.4, 0.9], 0.0, 4),
        ([0.1, 0.5, 0.52, 0.54, 0.9], 0.05, 4),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 0.0, 10),
        ([0.1, math.nan, 0.2, 0.1, 0.3], 0.0, 10),
    ],
)
def test_a_training_stops_when_patience_is_over(scores, min_gain, steps):
    values = iter([*scores, 0.6, 0.7, 0.8, 0.9, 1.0])
    method, loader, training = setup(steps=10, optimizer=SGD)
    monitor = Monitor(lambda method: {"a": next(values)}, 10, 10, Stop(patience=2, min_gain=min_gain))
    rule = BestWeights(lambda method: {"a": 0.5}, every=100)
    history = train(method, loader, training, rule, device=CPU, monitor=monitor)
    assert len(history.losses) == steps
    # The rule looks at the last step, wherever that is.
    assert history.selected_step == steps


def test_a_resumed_training_goes_on_with_its_scores_and_its_average(tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(step, steps):
        if step == 5:
            raise Interrupted

    def trained(path, on_step=lambda step, steps: None):
        method, loader, training = setup(steps=8, optimizer=SGD, ema=0.5)
        monitor, checkpoint = Monitor(weight_of, 8, 4), Checkpoint(path, "origin", every=0)
        rule = LastWeights()
        train(
            method,
            loader,
            training,
            rule,
            device=CPU,
            monitor=monitor,
            checkpoint=checkpoint,
            on_step=on_step,
        )
        return method.layer.weight.item(), monitor.scores

    with pytest.raises(Interrupted):
        trained(tmp_path / "b", interrupt)
    found = [trained(tmp_path / name) for name in ("a", "b")]
    assert found[0] == found[1]
    assert [row["step"] for row in found[0][1]] == [2, 4, 6, 8]


def test_averaged_weights_by_hand():
    method, loader, training = setup(steps=4, optimizer=SGD, ema=0.75)
    monitor = Monitor(weight_of, 4, 4)
    history = train(method, loader, training, LastWeights(), device=CPU, monitor=monitor)
    average = None
    for row, seen in zip(history.losses, monitor.scores, strict=True):
        average = row["weight"] if average is None else 0.75 * average + 0.25 * row["weight"]
        assert seen["weight"] == pytest.approx(average)
    assert method.layer.weight.item() == pytest.approx(average)
    assert history.losses[-1]["weight"] > average


def test_the_last_gain_is_that_of_the_last_tenth():
    rows = [{"step": step, "dice": score} for step, score in ((10, 0.5), (50, 0.8), (90, 0.85), (100, 0.9))]
    assert last_gain(rows) == {"dice": pytest.approx(0.05)}
    assert last_gain(rows[:2] + rows[3:]) == {"dice": pytest.approx(0.1)}
    assert last_gain(rows[:1]) == {}
