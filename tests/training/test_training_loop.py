"""The loop, the optimisers and the selection rules."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.errors import PluginError
from mmbench.methods import CLASSIFICATION, LABELED_CLASSIFICATION, Method, Prediction
from mmbench.protocol.schema import Augmentation, Optimizer, Schedule, Training
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import NonFiniteLossError, train
from mmbench.training.optimization import make_optimizer, make_scheduler, parameter_groups, rate_factor
from mmbench.training.selection import BestWeights, LastWeights, UndefinedScoreError
from mmbench.training.streams import StreamLoader, TaskData

CPU = torch.device("cpu")


class Mean(Method):
    """Learns one number: the mean pixel of its images."""

    tasks = {CLASSIFICATION}
    streams = {LABELED_CLASSIFICATION}

    def build(self, problem=None):
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)
        self.steps_told = []

    def losses(self, batch):
        assert self.layer.training
        error = self.layer.weight - batch[LABELED_CLASSIFICATION].images.mean()
        return {"square": error.square().sum(), **self.noise()}

    def noise(self):
        return {}

    def predict(self, images, task):
        return Prediction()

    def after_step(self, step):
        self.steps_told.append(step)

    def log(self):
        return {"weight": self.layer.weight.item()}


def setup(steps=5, **training):
    images = torch.full((4, 8, 8), 255, dtype=torch.uint8)
    rows = np.arange(4)
    data = {Task.CLASSIFICATION: TaskData(images, torch.zeros(4, dtype=torch.long), None, rows, rows)}
    settings = Training(steps=steps, batch_size=2, augmentation=Augmentation(flip=False, crop=0), **training)
    loader = StreamLoader(data, [Stream.LABELED_CLASSIFICATION], settings, seed=0)
    method = Mean()
    method.build()
    return method, loader, settings


def test_sgd_by_hand():
    method, loader, training = setup(
        steps=3, optimizer=Optimizer(name="sgd", learning_rate=0.1, momentum=0), schedule=Schedule()
    )
    seen = []
    history = train(
        method,
        loader,
        training,
        LastWeights(),
        device=CPU,
        on_step=lambda step, steps: seen.append((step, steps)),
    )
    weight = 0.0
    for row in history.losses:
        assert row["square"] == pytest.approx((weight - 1) ** 2)
        weight -= 0.1 * 2 * (weight - 1)
        assert row["weight"] == pytest.approx(weight)
    assert [row["step"] for row in history.losses] == [1, 2, 3]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert method.steps_told == [1, 2, 3]
    assert history.selected_step == 3


def test_training_twice_is_the_same_to_the_bit():
    weights = []
    for _ in range(2):
        method, loader, training = setup(steps=4)
        method.noise = lambda method=method: {
            "drop": nn.functional.dropout(method.layer.weight.reshape(1).expand(64), 0.5).mean()
        }
        torch.rand(7)
        train(method, loader, training, LastWeights(), device=CPU)
        weights.append(method.layer.weight.item())
    assert weights[0] == weights[1]


def test_a_loss_that_is_not_finite_stops_at_once_with_step_and_term():
    method, loader, training = setup(steps=9)
    plain = method.losses

    def losses(batch):
        found = plain(batch)
        if len(method.steps_told) == 2:
            found["bad"] = found["square"] * float("nan")
        return found

    method.losses = losses
    with pytest.raises(NonFiniteLossError, match="^loss term 'bad' is nan at step 3$"):
        train(method, loader, training, LastWeights(), device=CPU)
    assert len(method.steps_told) == 2


def test_best_weights_keeps_the_earliest_best_and_puts_it_back():
    method, loader, training = setup(steps=10, optimizer=Optimizer(name="sgd", learning_rate=0.1, momentum=0))
    kept = {}

    def scorer(method):
        step = len(method.steps_told)
        kept[step] = method.layer.weight.item()
        return {"a": {4: 1.0, 8: 1.0}.get(step, 0.0), "b": 0.5}

    rule = BestWeights(scorer, every=4)
    history = train(method, loader, training, rule, device=CPU)
    assert [row["step"] for row in rule.scores] == [4, 8, 10]
    assert rule.scores[0] == {"step": 4, "a": 1.0, "b": 0.5}
    assert history.selected_step == 4
    assert method.layer.weight.item() == kept[4]


def test_best_weights_come_with_the_methods_state_of_that_step():
    """A prediction depends on both, so the state of the last step would not fit the weights."""
    method, loader, training = setup(steps=10)
    plain, method.counts, kept = method.losses, {"steps": torch.zeros(1), "pair": (torch.zeros(1), [0])}, {}

    def losses(batch):
        found = plain(batch)
        method.counts["steps"] += 1
        method.counts["pair"][0].add_(found["square"].detach())
        method.counts["pair"][1][0] += 1
        return found

    def scorer(method):
        step = len(method.steps_told)
        kept[step] = copy.deepcopy(method.counts)
        return {"a": float(step == 4)}

    method.losses, method.state = losses, lambda: method.counts
    method.load_state = lambda state: setattr(method, "counts", state)
    history = train(method, loader, training, BestWeights(scorer, every=4), device=CPU)
    assert history.selected_step == 4
    assert kept[10]["steps"] == 10
    assert method.counts == kept[4]


def test_weights_cannot_be_chosen_by_an_undefined_score():
    method, loader, training = setup(steps=4)
    rule = BestWeights(lambda method: {"good": 0.5, "kermany": float("nan")}, every=2)
    with pytest.raises(UndefinedScoreError, match="kermany is undefined at step 2"):
        train(method, loader, training, rule, device=CPU)


def test_a_method_can_bring_its_own_optimizer():
    method, loader, training = setup(steps=1)
    method.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.25)
    train(method, loader, training, LastWeights(), device=CPU)
    assert method.layer.weight.item() == pytest.approx(0.5)


def test_step_schedule_is_torchs_steplr():
    settings = Schedule(name="step", every=3, factor=0.1)
    ours = make_optimizer([nn.Parameter(torch.zeros(1))], Optimizer(learning_rate=1.0))
    theirs = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 1.0)
    a = make_scheduler(ours, 10, settings)
    b = torch.optim.lr_scheduler.StepLR(theirs, 3, 0.1)
    for _ in range(10):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        ours.step()
        theirs.step()
        a.step()
        b.step()


def test_cosine_and_warmup():
    settings = Schedule(name="cosine", warmup=2)
    assert [rate_factor(step, 6, settings) for step in range(6)] == pytest.approx(
        [0.5, 1.0, 1.0, 0.5 * (1 + 2**-0.5), 0.5, 0.5 * (1 - 2**-0.5)]
    )


def test_poly_schedule_is_torchs():
    ours = make_optimizer([nn.Parameter(torch.zeros(1))], Optimizer(learning_rate=0.5))
    theirs = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 0.5)
    a = make_scheduler(ours, 10, Schedule(name="poly", power=0.7))
    b = torch.optim.lr_scheduler.PolynomialLR(theirs, 10, power=0.7)
    for _ in range(10):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        ours.step()
        theirs.step()
        a.step()
        b.step()


def test_a_long_gradient_is_shortened():
    method, loader, training = setup(
        steps=1, clip=0.25, optimizer=Optimizer(name="sgd", learning_rate=1.0, momentum=0)
    )
    train(method, loader, training, LastWeights(), device=CPU)
    # The gradient is 2 (0 - 1) = -2 before it is shortened.
    assert method.layer.weight.item() == pytest.approx(0.25, rel=1e-4)


class Encoded(Mean):
    """Has a second network whose rate is a tenth, but for its head."""

    def build(self, problem=None):
        super().build(problem)
        self.other = nn.ModuleDict({"body": nn.Linear(1, 1), "head": nn.Linear(1, 1)})
        self.other["frozen"] = nn.Linear(1, 1).requires_grad_(False)

    def learning_rates(self):
        return {"other": 0.1, "other.head": 2.0}


def test_groups_of_weights_have_factors_of_the_protocols_rate():
    method = Encoded()
    method.build()
    groups = parameter_groups(method, 0.5)
    assert [(group["lr"], len(group["params"])) for group in groups] == [(0.5, 1), (0.05, 2), (1.0, 2)]
    optimizer = make_optimizer(groups, Optimizer(learning_rate=0.5))
    scheduler = make_scheduler(optimizer, 10, Schedule(name="poly", power=1))
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.25, 0.025, 0.5])


def test_a_rate_for_weights_that_are_not_there_is_refused():
    method = Encoded()
    method.build()
    method.learning_rates = lambda: {"othe": 0.1}  # type: ignore[method-assign]  # a wrong name
    with pytest.raises(PluginError, match="names 'othe', but no weight's name begins so.* layer, other$"):
        parameter_groups(method, 0.5)


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimizers(name, kind):
    made = make_optimizer(
        [nn.Parameter(torch.zeros(1))], Optimizer(name=name, learning_rate=0.5, weight_decay=0.1)
    )
    assert type(made) is kind
    assert made.defaults["lr"] == 0.5
    assert made.defaults["weight_decay"] == 0.1


class Cramped(Mean):
    """Has memory for some images at a time; its loss is a mean over images, as the contract says."""

    room = 2
    passes: list[int]

    def losses(self, batch):
        images = batch[LABELED_CLASSIFICATION].images
        self.passes.append(len(images))
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return {"square": (self.layer.weight - images.mean((1, 2, 3))).square().mean()}


def cramped(room, steps=3, kind=Cramped):
    values = torch.arange(7, dtype=torch.uint8) * 30
    images = values[:, None, None].expand(7, 8, 8).contiguous()
    rows = np.arange(7)
    data = {Task.CLASSIFICATION: TaskData(images, torch.zeros(7, dtype=torch.long), None, rows, rows)}
    settings = Training(
        steps=steps,
        batch_size=7,
        augmentation=Augmentation(flip=False, crop=0),
        optimizer=Optimizer(name="sgd", learning_rate=0.1, momentum=0),
    )
    loader = StreamLoader(data, [Stream.LABELED_CLASSIFICATION], settings, seed=0)
    method = kind()
    method.build()
    method.room, method.passes = room, []
    return method, train(method, loader, settings, LastWeights(), device=CPU)


def test_a_batch_that_memory_does_not_hold_is_halved_and_its_gradients_added():
    whole, expected = cramped(room=7)
    assert expected.micro_batch == 7
    halved, found = cramped(room=2)
    assert halved.passes[:6] == [7, 4, 2, 2, 2, 1]
    assert halved.passes[6:] == [2, 2, 2, 1] * 2  # what does not fit is not tried again
    assert found.micro_batch == 2
    assert halved.layer.weight.item() == pytest.approx(whole.layer.weight.item(), rel=1e-6)
    for ours, theirs in zip(found.losses, expected.losses, strict=True):
        assert ours == pytest.approx(theirs)
    assert halved.steps_told == whole.steps_told


def test_memory_that_does_not_hold_one_image_ends_the_training():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        cramped(room=0)


class Counting(Cramped):
    """Changes in ``losses`` what it keeps, and observes what it sees, as a contributor's might."""

    def build(self, problem=None):
        super().build(problem)
        self.count, self.total, self.seen = 0, torch.zeros(1), []
        self.norm = nn.BatchNorm1d(1)

    def losses(self, batch):
        images = batch[LABELED_CLASSIFICATION].images
        self.count += 1
        self.total += 1
        self.norm(images.flatten()[:, None])
        self.observe(means=images.mean((1, 2, 3)))
        return super().losses(batch)

    def after_step(self, step):
        super().after_step(step)
        self.seen.append(self.observed("means").tolist())

    def state(self):
        return {"count": self.count, "total": self.total}

    def load_state(self, state):
        self.count, self.total = state["count"], state["total"]


def counting(room):
    method, _ = cramped(room, kind=Counting)
    return method


def test_a_step_that_is_repeated_or_split_changes_what_a_method_keeps_once():
    for room in (7, 2, 1):
        method = counting(room)
        assert (method.count, method.total.item()) == (3, 3.0)


def test_a_repeated_step_leaves_no_trace_in_batch_statistics():
    passes = counting(room=4).norm.num_batches_tracked.item()
    assert passes == 6, "two parts in each of three steps, nothing of the attempt that failed"


def test_after_step_observes_every_image_of_a_split_batch_once():
    whole, split = counting(room=7), counting(room=2)
    assert [len(step) for step in split.seen] == [7, 7, 7]
    for part, expected in zip(split.seen, whole.seen, strict=True):
        assert part == pytest.approx(expected)
    with pytest.raises(PluginError, match=r"observed no 'typo' in this step, only means$"):
        split.observed("typo")


def test_modules_keep_the_mode_that_build_and_start_leave_them_in():
    method, loader, training = setup(steps=4)
    method.frozen = nn.Dropout()
    method.frozen.eval()
    modes, plain = [], method.losses

    def losses(batch):
        modes.append((method.layer.training, method.frozen.training))
        return plain(batch)

    method.losses = losses
    train(method, loader, training, BestWeights(lambda method: {"a": 1.0}, every=1), device=CPU)
    assert modes == [(True, False)] * 4


class TwoTerms(Cramped):
    """Two weights; the second term pulls the shared one the other way, more weakly."""

    def build(self, problem=None):
        super().build(problem)
        self.own = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.own.weight)

    def losses(self, batch):
        (square,) = super().losses(batch).values()
        return {"square": square, "away": (0.5 * self.layer.weight * self.own.weight).sum()}


class Conflicting(TwoTerms):
    def combine(self, gradients):
        self.seen.append({name: value.tolist() for name, value in gradients.items()})
        return gradients["square"] + 10 * gradients["away"]

    def build(self, problem=None):
        super().build(problem)
        self.seen = []


def test_terms_gradients_are_the_methods_to_combine():
    """With one step of 0.1 from weights 0 and 1: the first falls by 0.1 (g + 10 x 0.5), the other stays."""
    mean = sum(row * 30 / 127.5 - 1 for row in range(7)) / 7
    for room in (7, 2):
        method, _ = cramped(room, steps=1, kind=Conflicting)
        (seen,) = method.seen
        assert seen == {"square": pytest.approx([-2 * mean, 0]), "away": pytest.approx([0.5, 0])}
        assert method.layer.weight.item() == pytest.approx(-0.1 * (-2 * mean + 5))
        assert method.own.weight.item() == 1


def test_terms_gradients_added_up_are_the_usual_step():
    class AddedUp(TwoTerms):
        def combine(self, gradients):
            return Method.combine(self, gradients)

    (usual, expected), (added, found) = cramped(3, kind=TwoTerms), cramped(3, kind=AddedUp)
    assert torch.allclose(usual.layer.weight, added.layer.weight)
    assert torch.allclose(usual.own.weight, added.own.weight)
    for ours, theirs in zip(found.losses, expected.losses, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


class Staged(Mean):
    """Keeps, at the beginning of each stage, the mean pixel of the whole pool and its weight of then."""

    parts = (0.4, 0.8)
    kept: tuple[float, ...] = ()

    def stages(self):
        return self.parts

    def begin_stage(self, number, pools):
        assert not self.layer.training
        assert not torch.is_grad_enabled()
        (batch,) = pools[LABELED_CLASSIFICATION].batches()
        self.kept += (number, len(batch.rows), self.layer.weight.item() + torch.rand(()).item())

    def losses(self, batch):
        return {"square": (self.layer.weight - 1 - sum(self.kept)).square().sum()}

    def state(self):
        return {"kept": list(self.kept)}

    def load_state(self, state):
        self.kept = tuple(state["kept"])


def staged(parts=(0.4, 0.8), **others):
    _, loader, settings = setup(steps=5)
    method = Staged()
    method.build()
    method.parts = parts
    return method, train(method, loader, settings, LastWeights(), device=CPU, **others)


def test_a_stage_begins_before_the_first_step_after_its_part_of_the_training():
    method, history = staged()
    weights = [row["weight"] for row in history.losses]
    assert method.kept[:2] == (1, 4)
    assert method.kept[3:5] == (2, 4)
    # Steps 3 and 5 are the first ones of their stages; steps before them know nothing of the stage.
    for seen, before in ((method.kept[2], weights[1]), (method.kept[5], weights[3])):
        assert 0 < seen - before < 1
    losses = [row["square"] for row in history.losses]
    assert losses[1] < losses[0] < losses[2]


def test_a_training_resumes_in_the_midst_of_its_stages(tmp_path):
    class Interrupted(Exception):
        pass

    whole, _ = staged()
    for last in (1, 2, 3, 4):

        def interrupt(step, steps, last=last):
            if step == last:
                raise Interrupted

        path = tmp_path / str(last)
        with pytest.raises(Interrupted):
            staged(checkpoint=Checkpoint(path, "origin", every=0), on_step=interrupt)
        method, history = staged(checkpoint=Checkpoint(path, "origin", every=0))
        assert history.resumed_at == [last]
        assert method.kept == whole.kept
        assert torch.equal(method.layer.weight, whole.layer.weight)


@pytest.mark.parametrize("parts", [(0.8, 0.4), (0.4, 0.41), (0.0,), (1.0,), (-0.1, 0.5)])
def test_stages_that_cannot_begin_are_refused(parts):
    with pytest.raises(PluginError, match=r"stages\(\) returns .*; return rising parts of the training"):
        staged(parts)
