"""Validation along the way, early stopping, and averaged weights."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.methods import Method
from mmbench.protocol.schema import Optimizer, Stop, Swa, Swad, Training
from mmbench.training.averaging import make_average, valley
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


@pytest.mark.parametrize(
    "average", [{"ema": 0.5}, {"swa": Swa(start=0.5)}, {"swad": Swad(converge=2, tolerance=1, ratio=0)}]
)
def test_a_resumed_training_goes_on_with_its_scores_and_its_average(tmp_path, average):
    class Interrupted(Exception):
        pass

    def interrupt(step, steps):
        if step == 5:
            raise Interrupted

    def trained(path, on_step=lambda step, steps: None):
        method, loader, training = setup(steps=8, optimizer=SGD, **average)
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


def test_the_mean_of_the_last_steps_by_hand():
    method, loader, training = setup(steps=9, optimizer=SGD, swa=Swa(start=0.5, every=2))
    monitor = Monitor(weight_of, 9, 9)
    history = train(method, loader, training, LastWeights(), device=CPU, monitor=monitor)
    own = {row["step"]: row["weight"] for row in history.losses}
    seen = {row["step"]: row["weight"] for row in monitor.scores}
    # Before the last half the weights themselves are evaluated; then steps 5, 7 and 9 count.
    assert seen[4] == own[4]
    assert seen[8] == pytest.approx((own[5] + own[7]) / 2)
    assert method.layer.weight.item() == pytest.approx((own[5] + own[7] + own[9]) / 3)


@pytest.mark.parametrize(
    "average", [{"ema": 0.5}, {"swa": Swa(start=0)}, {"swad": Swad(converge=1, tolerance=1)}]
)
def test_statistics_are_averaged_and_counts_of_batches_are_not(average):
    norm, means = nn.BatchNorm1d(1), []
    method = Method()
    method.norm = norm  # type: ignore[attr-defined]  # a module of its own
    kept = make_average(method, Training(steps=4, validations=4, **average))
    for step in range(1, 5):
        norm(torch.full((2, 1), float(step)))
        means.append(norm.running_mean.item())
        kept.after_step(step)
        kept.after_validation({"step": step, "score": 0.5})
    kept.keep()
    assert "ema" in average or norm.num_batches_tracked.item() == 4
    expected = sum(means) / 4
    if "ema" in average:
        expected = means[0]
        for mean in means[1:]:
            expected = (expected + mean) / 2
    assert norm.running_mean.item() == pytest.approx(expected)


def test_the_mean_within_the_valley_by_hand():
    scores = iter([0.2, 0.6, 0.55, 0.58, 0.3, 0.2, 0.6])
    swad = Swad(converge=2, tolerance=2, ratio=0.1)
    method, loader, training = setup(steps=14, optimizer=SGD, swad=swad)
    monitor = Monitor(lambda method: {"score": next(scores)}, 14, 7)
    history = train(method, loader, training, LastWeights(), device=CPU, monitor=monitor)
    # The second validation has a loss of .4, the mean with the next one is .425 and the threshold .4675: the
    # fifth and the sixth are above it, and so the valley is steps 3 to 8.
    inside = [row["weight"] for row in history.losses if 3 <= row["step"] <= 8]
    assert method.layer.weight.item() == pytest.approx(sum(inside) / 6)


def by_queues(losses, converge, tolerance, ratio):
    """Return which validations count, walking on with one queue, as the paper's algorithm 1 is written."""
    begin = None
    for now in range(len(losses)):
        if begin is None:
            window = losses[max(0, now - converge + 1) : now + 1]
            if len(window) == converge and window[0] == min(window):
                begin = now - converge + 1
                threshold = (1 + ratio) * sum(window) / converge
                continue
        if begin is not None:
            window = losses[max(begin, now - tolerance + 1) : now + 1]
            if len(window) == tolerance and min(window) > threshold:
                return begin, now - tolerance + 1
    if begin is None:
        return None
    # At the end of the training, validations that are still above the threshold do not count either.
    last = len(losses) - 1
    while losses[last] > threshold:
        last -= 1
    return begin, last + 1


def test_the_valley_is_that_of_the_algorithm():
    random = np.random.default_rng(0)
    found = 0
    for _ in range(500):
        losses = random.random(random.integers(3, 25)).round(2).tolist()
        settings = Swad(
            converge=random.integers(1, 4), tolerance=random.integers(1, 5), ratio=random.random()
        )
        expected = by_queues(losses, settings.converge, settings.tolerance, settings.ratio)
        found += expected is not None
        assert valley(losses, settings) == (expected or (len(losses) - 1, len(losses)))
    assert 300 < found < 500


def test_a_validation_without_a_number_is_no_valley():
    assert valley([math.nan, 0.5, 0.6], Swad(converge=2)) == (1, 3)
    assert valley([math.nan, math.nan], Swad(converge=1)) == (1, 2)


def test_the_last_gain_is_that_of_the_last_tenth():
    rows = [{"step": step, "dice": score} for step, score in ((10, 0.5), (50, 0.8), (90, 0.85), (100, 0.9))]
    assert last_gain(rows) == {"dice": pytest.approx(0.05)}
    assert last_gain(rows[:2] + rows[3:]) == {"dice": pytest.approx(0.1)}
    assert last_gain(rows[:1]) == {}
