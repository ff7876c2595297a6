"""A training interrupted at any step and resumed gives the same bits as one never interrupted."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.files import DamagedFileError
from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, Method, Prediction
from mmbench.protocol.schema import Augmentation, Optimizer, Schedule, Training
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import train
from mmbench.training.selection import BestWeights, LastWeights
from mmbench.training.streams import StreamLoader, TaskData

CPU = torch.device("cpu")
STEPS = 7


class Everything(Method):
    """Depends on whatever a checkpoint could forget."""

    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION}

    def build(self, problem=None):
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)
        )
        self.teacher = nn.Linear(8, 2).requires_grad_(False)
        self.memory = torch.zeros(2)
        self.calls = 0

    def losses(self, batch):
        part = batch[LABELED_CLASSIFICATION]
        logits = self.network(part.images)
        self.memory = 0.9 * self.memory + 0.1 * logits.detach().mean(0)
        self.calls += 1
        noise = random.random() + np.random.rand() + torch.rand(()) + self.calls  # noqa: NPY002
        return {
            "entropy": nn.functional.cross_entropy(logits, part.labels),
            "other": (logits - self.memory).square().mean() * noise,
        }

    def after_step(self, step):
        with torch.no_grad():
            self.teacher.weight.lerp_(self.network[-1].get_parameter("weight"), 0.1)

    def predict(self, images, task):
        return Prediction()

    def state(self):
        return {"memory": self.memory, "calls": self.calls}

    def load_state(self, state):
        self.memory, self.calls = state["memory"], state["calls"]


class Killed(BaseException):
    """Stands for the end of the process."""


def fresh(optimizer="adam"):
    torch.manual_seed(0)
    method = Everything()
    method.build()
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 8), dtype=np.uint8)
    rows = np.arange(9)
    data = {
        Task.CLASSIFICATION: TaskData(torch.from_numpy(pixels), torch.tensor([0, 1, 0] * 3), None, rows, rows)
    }
    training = Training(
        steps=STEPS,
        batch_size=4,
        augmentation=Augmentation(flip=True),
        optimizer=Optimizer(name=optimizer, learning_rate=0.01),
        schedule=Schedule(name="cosine"),
    )
    loader = StreamLoader(data, [Stream.LABELED_CLASSIFICATION], training, seed=1)
    return method, loader, training


def rule_of(kind):
    if kind == "last":
        return LastWeights()

    def near_four(method):
        return {"score": -abs(method.calls - 4.0)}

    return BestWeights(near_four, every=2)


def outcome(method, history, rule):
    weights = {
        f"{name}.{key}": value.clone()
        for name, module in method.modules().items()
        for key, value in module.state_dict().items()
    }
    return weights, history.losses, history.selected_step, rule.scores


def same(one, other):
    return all(torch.equal(one[0][key], other[0][key]) for key in one[0]) and one[1:] == other[1:]


def whole(kind, optimizer):
    method, loader, training = fresh(optimizer)
    rule = rule_of(kind)
    return outcome(method, train(method, loader, training, rule, device=CPU), rule)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["last", "best"])
@pytest.mark.parametrize("kills", [[1], [4], [STEPS - 1], [2, 3, 5]])
def test_resuming_is_the_same_to_the_bit(tmp_path, kind, optimizer, kills):
    path = tmp_path / "checkpoint"
    for kill in kills:
        method, loader, training = fresh(optimizer)

        def stop(step, steps, kill=kill):
            if step == kill:
                raise Killed

        with pytest.raises(Killed):
            train(
                method,
                loader,
                training,
                rule_of(kind),
                device=CPU,
                checkpoint=Checkpoint(path, "origin", every=0),
                on_step=stop,
            )
        random.random(), np.random.rand(3), torch.rand(3)  # noqa: NPY002
    method, loader, training = fresh(optimizer)
    rule = rule_of(kind)
    resumed = train(method, loader, training, rule, device=CPU, checkpoint=Checkpoint(path, "origin"))
    assert same(outcome(method, resumed, rule), whole(kind, optimizer))
    assert resumed.resumed_at == kills


def test_without_its_own_state_a_method_resumes_wrongly(tmp_path, monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setattr(Everything, "state", lambda self: {"memory": self.memory, "calls": 0})
    with pytest.raises(AssertionError):
        test_resuming_is_the_same_to_the_bit(tmp_path, "last", "adam", [4])


def test_another_origin_starts_over(tmp_path):
    path = tmp_path / "checkpoint"
    method, loader, training = fresh()
    train(method, loader, training, LastWeights(), device=CPU, checkpoint=Checkpoint(path, "old", every=0))
    method, loader, training = fresh()
    history = train(
        method, loader, training, LastWeights(), device=CPU, checkpoint=Checkpoint(path, "new", every=1e9)
    )
    assert history.resumed_at == []
    assert len(history.losses) == STEPS


def test_a_damaged_checkpoint_is_refused_before_anything_is_loaded(tmp_path):
    path = tmp_path / "checkpoint"
    saved = Checkpoint(path, "origin")
    saved.save({"losses": [1.0]})
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedFileError):
            saved.load(CPU)
    for length in (0, 5, 32, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError):
            saved.load(CPU)
    path.write_bytes(whole)
    assert saved.load(CPU) == {"losses": [1.0]}


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path):
    import io

    from mmbench.files import write_sealed

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "evil"), "w"))

    buffer = io.BytesIO()
    torch.save({"origin": "origin", "state": Evil()}, buffer)
    write_sealed(tmp_path / "checkpoint", buffer.getvalue())
    with pytest.raises(DamagedFileError, match="more than tensors"):
        Checkpoint(tmp_path / "checkpoint", "origin").load(CPU)
    assert not (tmp_path / "evil").exists()


def test_it_is_saved_when_the_time_has_come(tmp_path):
    now = [0.0]
    checkpoint = Checkpoint(tmp_path / "checkpoint", "origin", every=60, clock=lambda: now[0])
    assert not checkpoint.due()
    now[0] = 60.0
    assert checkpoint.due()
    checkpoint.save({})
    assert not checkpoint.due()
    checkpoint.remove()
    assert checkpoint.load(CPU) is None
