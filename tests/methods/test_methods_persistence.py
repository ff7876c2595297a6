"""A method saved and loaded is the same to the bit, and what cannot be saved is named."""

import json
import re
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, load_model
from torch import nn

from mmbench.errors import PluginError
from mmbench.files import DamagedFileError
from mmbench.methods import CLASSIFICATION, Method, Prediction
from mmbench.methods.persistence import load_method, method_bytes, save_method, weights_digest
from mmbench.plugins.discovery import discover
from mmbench.protocol.vocabulary import Stream
from mmbench.testing import built, example_batch
from mmbench.testing.examples import example_problem

REGISTRY = discover()
CPU = torch.device("cpu")


class Tied(nn.Module):
    """Tied weights, a slice of a larger tensor, and a buffer of every odd kind."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.convolution = nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(16)
        self.register_buffer("slice", torch.randn(10)[2:5])
        self.register_buffer("empty", torch.zeros(0, 2))
        self.register_buffer("mask", torch.rand(5) > 0.5)
        self.register_buffer("odd", torch.tensor([torch.nan, torch.inf, -0.0]))


class Plugin(Method):
    """Two modules and a nested state."""

    tasks = {CLASSIFICATION}

    def build(self, problem=None):
        self.network = Tied()
        self.teacher = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).bfloat16()
        self.kept = {}

    def predict(self, images, task):
        return Prediction()

    def state(self):
        return self.kept

    def load_state(self, state):
        self.kept = state


def plugin(seed=0):
    torch.manual_seed(seed)
    method = Plugin()
    method.build()
    shared = torch.randn(4, 4)
    method.kept = {
        "queue": [shared[0], shared[1], shared],
        "counts": {0: 3, 1: 2**70, "name": "é\n\"'"},
        "rate": 0.1 + seed,
        "limits": [float("inf"), -float("inf"), 1e-320],
        "flags": (True, False, None),
        "low": torch.randn(3).bfloat16(),
        "scalar": torch.tensor(7),
        "none": [],
        "moved": torch.randn(2, 3).T,
    }
    return method


def bits(tensor):
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype is other.dtype and one.shape == other.shape and bits(one) == bits(other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def everything(method):
    return {
        **{name: dict(module.state_dict()) for name, module in method.modules().items()},
        "state()": method.state(),
    }


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_built_in_method_round_trips(name, tmp_path):
    cls = REGISTRY.get(name).cls
    method = built(cls, {})
    save_method(method, tmp_path)
    expected = {f"{module}.safetensors" for module in method.modules()} | (
        {"state.safetensors"} if method.state() else set()
    )
    assert {path.name for path in tmp_path.iterdir()} == expected
    torch.manual_seed(5)
    again = cls()
    again.build(example_problem(cls))
    load_method(again, tmp_path, CPU)
    assert same(everything(method), everything(again))
    assert weights_digest(method) == weights_digest(again)
    images = example_batch({Stream.UNLABELED_SEGMENTATION})[Stream.UNLABELED_SEGMENTATION].images
    for one in (method, again):
        for module in one.modules().values():
            module.eval()
    for task in cls.tasks:
        assert same(vars(method.predict(images, task)), vars(again.predict(images, task)))


def test_a_plugin_round_trips(tmp_path):
    method, again = plugin(), plugin(seed=1)
    again.kept = {}
    save_method(method, tmp_path)
    load_method(again, tmp_path, CPU)
    assert same(everything(method), everything(again))
    assert weights_digest(method) == weights_digest(again)
    assert again.network.first.weight is again.network.second.weight
    assert again.network.convolution.weight.is_contiguous(memory_format=torch.channels_last)
    again.kept["queue"][0].zero_()
    assert same(method.kept["queue"][2], again.kept["queue"][2])


def test_files_are_those_of_safetensors(tmp_path):
    """Any reader of the format can use them, safetensors' own for modules included."""
    method, again = plugin(), Tied()
    save_method(method, tmp_path)
    assert "second.weight" not in load_file(tmp_path / "network.safetensors")
    del again.slice, method.network.slice  # load_model refuses slices of larger tensors
    again.register_buffer("slice", torch.zeros(3))
    load_model(again, tmp_path / "network.safetensors")
    assert torch.equal(again.convolution.weight, method.network.convolution.weight)
    assert torch.equal(again.second.weight, method.network.first.weight)
    for path in tmp_path.iterdir():
        assert b"pickle" not in path.read_bytes()
        size = int.from_bytes(path.read_bytes()[:8], "little")
        assert json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["format"] == "pt"


def test_bytes_are_those_of_the_tensors(tmp_path):
    method = plugin()
    save_method(method, tmp_path)
    written = sum(
        tensor.numel() * tensor.element_size()
        for path in tmp_path.iterdir()
        for tensor in load_file(path).values()
    )
    floats = 3 * 3 + 3 + 3 + 16 * 8 * 9 + 16 + 4 * 16 + 3 + 3
    by_hand = 4 * floats + 8 + 5 + 2 * (6 + 2 + 4 * 2) + 8 + 4 * (4 + 4 + 16 + 6) + 2 * 3 + 8
    assert method_bytes(method) == written == by_hand
    enc: Any = built(REGISTRY.get("enc").cls, {})
    assert method_bytes(enc) == 4 * sum(p.numel() for p in enc.network.parameters())


def test_nothing_to_keep_leaves_no_file(tmp_path):
    method = Plugin()
    method.kept = {}
    save_method(method, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    load_method(method, tmp_path / "new", CPU)
    assert method_bytes(method) == 0


def flips(tensor):
    """Flip the lowest bit of a tensor's first element."""
    flat = tensor.detach().reshape(-1)[:1].contiguous().view(torch.uint8)
    flat[0] ^= 1
    with torch.no_grad():
        tensor.reshape(-1)[:1].copy_(flat.view(tensor.dtype))


@pytest.mark.parametrize(
    "change",
    [
        lambda method: flips(method.network.first.weight),
        lambda method: flips(method.network.norm.running_var),
        lambda method: flips(method.network.norm.num_batches_tracked.view(1)),
        lambda method: flips(method.teacher[0].bias),
        lambda method: flips(method.kept["low"]),
        lambda method: method.kept.update(rate=0.1 + 1e-16),
        lambda method: method.kept["counts"].update(extra=0),
        lambda method: method.network.odd[2].zero_(),  # from -0.0
        lambda method: setattr(method, "teacher", method.teacher.float()),
        lambda method: setattr(method, "student", method.__dict__.pop("teacher")),
    ],
)
def test_the_digest_changes_with_any_bit(change):
    method = plugin()
    before = weights_digest(method)
    assert before == weights_digest(plugin())
    change(method)
    assert weights_digest(method) != before


def test_the_digest_does_not_depend_on_the_layout():
    method = plugin()
    before = weights_digest(method)
    method.network.convolution.to(memory_format=torch.contiguous_format)
    assert weights_digest(method) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.gpu
def test_the_digest_does_not_depend_on_the_device(tmp_path):
    method, again = plugin(), plugin(seed=1)
    save_method(method, tmp_path)
    load_method(again, tmp_path, torch.device("cuda"))
    assert again.network.first.weight.is_cuda
    assert again.kept["low"].is_cuda
    assert weights_digest(again) == weights_digest(method)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"rows": {1}}, r"state()['rows'] is of type set, which cannot be saved; use tensors, numbers"),
        ({"a": [0, {"b": b""}]}, "state()['a'][1]['b'] is of type bytes"),
        ({"a": nn.Linear(1, 1)}, "state()['a'] is of type torch.nn.modules.linear.Linear"),
        ({"a": torch.eye(2).to_sparse()}, "state()['a'] is of type a tensor of layout torch.sparse_coo"),
        ({"a": {0.5: 1}}, "state()['a'] has a key of type float; use text or whole numbers"),
    ],
)
def test_a_state_that_cannot_be_saved_names_method_and_key(state, message, tmp_path):
    method = Plugin()
    method.kept = state
    for action in (lambda: save_method(method, tmp_path), lambda: weights_digest(method)):
        with pytest.raises(PluginError, match=f"^method 'Plugin': {re.escape(message)}") as caught:
            action()
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_cannot_be_saved_is_named(tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"calls": 1}

    method = Plugin()
    method.kept = {}
    method.network = nn.Sequential(Extra(1, 1))  # type: ignore[assignment]  # in its place
    with pytest.raises(PluginError, match=r"^method 'Plugin': network\.0\._extra_state cannot be saved"):
        save_method(method, tmp_path)


def test_an_expanded_tensor_is_refused(tmp_path):
    method = Plugin()
    method.kept = {}
    method.network = nn.Module()  # type: ignore[assignment]  # in its place
    method.network.register_buffer("wide", torch.zeros(1, 3).expand(4, 3))
    message = (
        "method 'Plugin': network.wide cannot be saved: it is an expanded tensor; register a copy of it, "
        "x.expand(...).clone()"
    )
    with pytest.raises(PluginError, match=f"^{re.escape(message)}$"):
        save_method(method, tmp_path)


def test_bytes_are_known_without_memory():
    """On the device "meta" no tensor has an address; yet equal shapes are not one tensor."""
    with torch.device("meta"):
        method = Plugin()
        method.build()
    assert method_bytes(method) == method_bytes_without_state(plugin())


def method_bytes_without_state(method):
    method.kept = {}
    return method_bytes(method)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def overwrite(path):
    path.write_bytes(b"not safetensors at all")


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, overwrite, empty, lambda path: path.unlink()])
@pytest.mark.parametrize("file", ["network.safetensors", "teacher.safetensors", "state.safetensors"])
def test_damaged_files_are_named(file, damage, tmp_path):
    save_method(plugin(), tmp_path)
    damage(tmp_path / file)
    if not (tmp_path / file).exists() and file == "state.safetensors":
        return  # as for a method without state; a record has a checksum for each file
    with pytest.raises(
        DamagedFileError, match=f"^{re.escape(str(tmp_path / file))}: (cannot be|is)"
    ) as caught:
        load_method(plugin(), tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_files_of_another_method_are_refused(tmp_path):
    method = plugin()
    save_method(method, tmp_path)
    method.teacher.append(nn.Linear(2, 2).bfloat16())
    with pytest.raises(
        DamagedFileError, match=r"teacher\.safetensors: does not fit the method Plugin: .*2\.w"
    ):
        load_method(method, tmp_path, CPU)
    (tmp_path / "state.safetensors").write_bytes((tmp_path / "network.safetensors").read_bytes())
    with pytest.raises(DamagedFileError, match=r"state\.safetensors: does not hold the state of a method"):
        load_method(plugin(), tmp_path, CPU)


def test_weights_of_another_type_are_refused(tmp_path):
    save_method(plugin(), tmp_path)
    other = plugin()
    other.teacher.float()
    cause = r"0\.weight is torch\.bfloat16 in the file, not torch\.float32$"
    with pytest.raises(
        DamagedFileError, match=rf"teacher\.safetensors: does not fit the method Plugin: {cause}"
    ):
        load_method(other, tmp_path, CPU)


def test_a_state_that_the_method_cannot_load_is_refused(tmp_path):
    class Other(Plugin):
        def load_state(self, state):
            self.rows = state["rows"]

    save_method(plugin(), tmp_path)
    other = Other()
    other.build()
    cause = r"load_state raises KeyError: 'rows'$"
    with pytest.raises(
        DamagedFileError, match=rf"state\.safetensors: does not fit the method Other: {cause}"
    ):
        load_method(other, tmp_path, CPU)
